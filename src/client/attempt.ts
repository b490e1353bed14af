/** One attempt of a call: sends the request, reads the response to its end, decides whether to retry. */
import { continueBody, readAhead, type Bytes } from './body-reader';
import { callReport, RetryError } from './retry.errors';
import type { FetchInit, FetchInput, RepeatableRequest } from './repeatable-request';
import type { Fetch, RetryReason } from './retry.options';

/** A response that ends the call. */
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

/** How an attempt ended. */
export type Outcome = Settled | Failed;

/** A response up to this size is read into memory before it is returned: if it breaks off, it is retried. */
const MAX_HELD_BYTES = 1_048_576;

/** Node's and undici's codes of connections that were never made. A browser gives no code. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

/** Whether an outcome counts as a failure of the origin. A 409 or 429 shows that the origin works. */
export function isOriginFailure({ reason, response }: Outcome): boolean {
  return response ? response.status >= 500 : reason !== undefined;
}

/**
 * Sends a request once and reads the response to its end.
 *
 * @param timeoutMs for sending and reading together
 * @throws the reason of the caller's signal when that fires; a RetryError of a retrying fetch below; what
 * `fetch` throws for a request that it does not take
 */
export async function attempt(
  { input, init, signal }: RepeatableRequest,
  send: Fetch,
  timeoutMs: number,
): Promise<Outcome> {
  signal?.throwIfAborted();
  const connection = new AbortController();
  const hangUp = () => connection.abort(signal?.reason);
  try {
    const response = await within(timeoutMs, { signal, hangUp }, async () => {
      const received = await send(input, { ...init, signal: connection.signal });
      return callReport(received) ? received : await holdBody(received, hangUp, signal);
    });
    return await judge(response);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof RetryError) throw error;
    const timedOut = connection.signal.aborted;
    if (!timedOut && isMistaken(input, init)) throw error;
    return {
      reason: timedOut ? 'timeout' : 'connection-lost',
      cause: timedOut ? new DOMException(`No response in ${timeoutMs} ms`, 'TimeoutError') : error,
      floorMs: 0,
      mayHaveExecuted: timedOut || !neverSent(error),
    };
  }
}

interface Interruption {
  readonly signal: AbortSignal | undefined;
  /** Called when the time is up or the signal fires. */
  readonly hangUp: () => void;
}

/**
 * Waits for `work`, but no longer than `timeoutMs` or until the signal fires: what it uses may ignore that
 * its connection is gone.
 */
async function within<T>(
  timeoutMs: number,
  { signal, hangUp }: Interruption,
  work: () => Promise<T>,
): Promise<T> {
  let stop = () => {};
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => {
      hangUp();
      reject(new Error('The attempt was interrupted.'));
    };
  });
  const timer = setTimeout(stop, timeoutMs);
  signal?.addEventListener('abort', stop);
  try {
    return await Promise.race([work(), stopped]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

/** Reads the body into memory. An event stream, or a body that is too long, is left to its reader. */
async function holdBody(
  response: Response,
  hangUp: () => void,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const reader = response.body?.getReader();
  if (!reader) return response;
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  const read = await readAhead(reader, response.ok && isStream ? 0 : MAX_HELD_BYTES);
  if (read.whole) return withBody(response, read.whole);
  // The attempt is over, and its time-out with it. The caller's signal still ends the rest of the body.
  signal?.addEventListener('abort', hangUp);
  const release = () => signal?.removeEventListener('abort', hangUp);
  void reader.closed.then(release, release);
  return withBody(response, continueBody(read, reader));
}

/** A copy of a response with another body, and with other headers where they are given. */
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

async function judge(response: Response): Promise<Outcome> {
  const reason = await reasonToRetry(response);
  if (!reason) return { response };
  const floorMs = retryAfterMs(response.headers);
  return { reason, response, floorMs, mayHaveExecuted: reason !== 'rate-limited' };
}

/** `Stripe-Should-Retry` wins over the status. A success is final, and so is a response with a report. */
async function reasonToRetry(response: Response): Promise<RetryReason | undefined> {
  const asked = response.headers.get('stripe-should-retry');
  if (response.ok || asked === 'false' || callReport(response)) return undefined;
  const { status } = response;
  if (status >= 500) return 'server-error';
  if (status === 429) return 'rate-limited';
  if (status === 409 && (asked === 'true' || (await isInUse(response)))) return 'in-use';
  return asked === 'true' || status === 408 || status === 425 ? 'server-asks' : undefined;
}

/**
 * Whether a 409 says that the key is in use; other conflicts are not resolved by a retry. It has a
 * `Retry-After`. A browser may hide that header from a page of another origin: then the code in the body tells.
 */
async function isInUse(response: Response): Promise<boolean> {
  if (response.headers.has('retry-after')) return true;
  const body = (await response
    .clone()
    .json()
    .catch(() => undefined)) as { code?: string; error?: { code?: string } } | null | undefined;
  return [body?.code, body?.error?.code].includes('idempotency_key_in_use');
}

/** RFC 9110, 10.2.3: seconds, or a date, which is compared with the response's `Date` where it has one. */
function retryAfterMs(headers: Headers): number {
  const value = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const now = Date.parse(headers.get('date') ?? '') || Date.now();
  return Math.max(0, Date.parse(value) - now) || 0;
}

/** Whether the request itself is invalid: `fetch` rejects for that as for a failure of the network. */
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
