/** One attempt: sent, its answer read to the end, and judged. */
import { timeout, TimeoutStrategy } from 'cockatiel';
import { continued, readAhead, type Bytes } from './body.reader';
import { callReport, RetryError } from './retry.error';
import type { FetchInit, FetchInput, RepeatableRequest } from './repeatable.request';
import type { Fetch, RetryReason } from './retry.options';

/** The answer that settles the call. */
export interface Settled {
  readonly response: Response;
  readonly reason?: undefined;
}

/** An attempt that is worth repeating. */
export interface Failed {
  readonly reason: RetryReason;
  readonly response?: Response;
  readonly cause?: unknown;
  /** The shortest pause that the server asks for (`Retry-After`), in milliseconds. */
  readonly floorMs: number;
  /** Whether this attempt may have taken effect. */
  readonly mayHaveExecuted: boolean;
}

export type Outcome = Settled | Failed;

/**
 * An answer up to here is held in memory while its attempt lasts, so that one which breaks off in the
 * middle can be asked for again.
 */
const MAX_HELD_BYTES = 1_048_576;

/** Node's and undici's codes of connections that were never made. A browser does not tell. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

/** Whether an outcome is a failure of the origin and not of the request. 409 and 429 are life signs. */
export function saysThatTheOriginFails({ reason, response }: Outcome): boolean {
  return response ? response.status >= 500 : reason !== undefined;
}

/**
 * Sends a request once and reads the answer to its end.
 *
 * @param timeoutMs for both
 * @throws the reason of the caller's signal when that fires; a RetryError of a retrying fetch below; what
 * `fetch` throws for a request that it does not take
 */
export async function attempt(
  { input, init, signal }: RepeatableRequest,
  send: Fetch,
  timeoutMs: number,
): Promise<Outcome> {
  signal?.throwIfAborted();
  const limit = timeout(timeoutMs, { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false });
  const connection = new AbortController();
  const hangUp = () => connection.abort(signal?.reason);
  try {
    const response = await limit.execute(async (context) => {
      context.signal.addEventListener('abort', hangUp);
      const answer = await send(input, { ...init, signal: connection.signal });
      return callReport(answer) ? answer : await held(answer, hangUp, signal);
    }, signal);
    return await judged(response);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof RetryError) throw error;
    const timedOut = connection.signal.aborted;
    if (!timedOut && isMistaken(input, init)) throw error;
    return {
      reason: timedOut ? 'timeout' : 'connection-lost',
      cause: timedOut ? new DOMException(`No answer in ${timeoutMs} ms`, 'TimeoutError') : error,
      floorMs: 0,
      mayHaveExecuted: timedOut || !neverSent(error),
    };
  }
}

/** The same answer with its whole body in memory, unless that is a stream by its nature or its length. */
async function held(
  response: Response,
  hangUp: () => void,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const reader = response.body?.getReader();
  if (!reader) return response;
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  const read = await readAhead(reader, response.ok && isStream ? 0 : MAX_HELD_BYTES);
  if (read.whole) return withBody(response, read.whole);
  // The attempt is over, and with it the time-out; the caller's signal still ends the rest.
  signal?.addEventListener('abort', hangUp);
  const ended = () => signal?.removeEventListener('abort', hangUp);
  void reader.closed.then(ended, ended);
  return withBody(response, continued(read, reader));
}

/** An answer that differs from another in its body, and in its headers where these are given. */
export function withBody(
  { status, statusText, headers, url, redirected, type }: Response,
  body: ReadableStream<Bytes> | Bytes | null,
  others: Headers = headers,
): Response {
  const response = new Response(body, { status, statusText, headers: others });
  return Object.defineProperties(response, {
    url: { value: url },
    redirected: { value: redirected },
    type: { value: type },
  });
}

async function judged(response: Response): Promise<Outcome> {
  const reason = await reasonToRetry(response);
  if (!reason) return { response };
  const floorMs = retryAfterMs(response.headers);
  return { reason, response, floorMs, mayHaveExecuted: reason !== 'rate-limited' };
}

/** `Stripe-Should-Retry` wins over the status; a success is final, and so is what a retrying fetch gave up. */
async function reasonToRetry(response: Response): Promise<RetryReason | undefined> {
  const asked = response.headers.get('stripe-should-retry');
  if (response.ok || asked === 'false' || callReport(response)) return undefined;
  const { status } = response;
  if (status >= 500) return 'server-error';
  if (status === 429) return 'rate-limited';
  if (status === 409 && (asked === 'true' || (await saysInUse(response)))) return 'in-use';
  return asked === 'true' || status === 408 || status === 425 ? 'server-asks' : undefined;
}

/**
 * A 409 also stands for conflicts that no retry resolves. One in use has a `Retry-After`, or, where a
 * browser hides that header from a page of another origin, the code in its body.
 */
async function saysInUse(response: Response): Promise<boolean> {
  if (response.headers.has('retry-after')) return true;
  const body = (await response
    .clone()
    .json()
    .catch(() => undefined)) as { code?: string; error?: { code?: string } } | null | undefined;
  return [body?.code, body?.error?.code].includes('idempotency_key_in_use');
}

/** RFC 9110, 10.2.3: seconds, or a date, which is read by the server's own clock where that is given. */
function retryAfterMs(headers: Headers): number {
  const value = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const now = Date.parse(headers.get('date') ?? '') || Date.now();
  return Math.max(0, Date.parse(value) - now) || 0;
}

/** `fetch` rejects alike for a mistake in the request and for a failure of the network. */
function isMistaken(input: FetchInput, init: FetchInit): boolean {
  try {
    void new Request(input, { ...init, signal: null });
    return false;
  } catch {
    return true;
  }
}

function neverSent(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: string } | null };
  return NEVER_SENT.has(cause?.code ?? '');
}
