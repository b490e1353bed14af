/** A `fetch` that retries what is safe to retry. */
import { attempt, isOriginFailure, withBody, type Failed, type Outcome } from './attempt';
import { KeyMemory } from './key-memory';
import { OriginCircuit } from './origin-circuit';
import { pause, pausesOf } from './pauses';
import { RecentMap } from './recent-map';
import {
  NotRepeatableError,
  toRepeatable,
  urlOf,
  type FetchInit,
  type FetchInput,
  type RepeatableRequest,
} from './repeatable-request';
import { callReport, RetryError, attachReport, type GiveUpReason } from './retry.errors';
import { policyOf, type Fetch, type RetryOptions, type RetryPolicy } from './retry.options';

/** How many origins a client keeps a budget and a circuit for; the one used longest ago makes room. */
const MAX_ORIGINS = 1_000;

/** What the calls of one client share. */
interface ClientState {
  readonly policy: RetryPolicy;
  readonly origins: RecentMap<OriginCircuit>;
  readonly keys: KeyMemory;
}

/**
 * Makes a `fetch` that retries what is safe to retry, within a deadline, a budget and a circuit breaker.
 *
 * - **Keys.** POST, PATCH and any method that HTTP does not call idempotent carry one `Idempotency-Key`, a
 *   UUID made before the first attempt, or the caller's own. The server must honour it: paidonce and
 *   Stripe do. GET, HEAD, PUT, DELETE and OPTIONS are repeated without one. A caller's key that this client
 *   last used for another request is refused before anything is sent. The last 1,000 keys are remembered,
 *   each until its request gets a 4xx.
 * - **What is retried:** a lost connection, an attempt that takes too long, 409 while the first attempt
 *   is still running, 408, 425, 429 and 5xx. `Stripe-Should-Retry: true` or `false` wins over the status. Any
 *   other response is final and returned as it is.
 * - **Bodies.** Strings, bytes, Blobs, forms and the body of a `Request` (up to 16 MiB) are sent again byte for
 *   byte. A stream is refused before the first attempt.
 * - **Responses** are read to their end before they are returned, so that a response which breaks off is
 *   retried. A body longer than 1 MiB, and `text/event-stream`, is returned while it arrives. From then on
 *   it is neither retried nor bounded by a time-out.
 * - **Pauses** grow exponentially with full jitter, on top of `Retry-After` where the server sends one.
 *   A call whose next attempt would come after its deadline is given up at once.
 * - **Budget.** Each origin gets 10 retries over all calls, and a tenth of one back for each response
 *   below 500 that ends its call.
 * - **Circuit.** After 20 failures in a row an origin gets nothing for a while, then single probes.
 * - **Giving up** returns the last response, if there was one, with `Stripe-Should-Retry: false` set on it, so
 *   that no client around this one starts over; `callReport` tells why. Without a response it throws a
 *   `RetryError`. A `RetryError` of a retrying fetch below this one is passed on, not retried.
 * - **Aborting** works as with `fetch`, during a pause too. The request may have been executed then.
 *
 * Schemes other than http and https go straight to `fetch`. A page that calls another origin sees only the
 * headers that the server exposes: `Retry-After` and `Stripe-Should-Retry` should be among them, and
 * `Idempotency-Key` among the headers it allows.
 *
 * State is kept in the instance that is returned: make one, and use it for all calls.
 *
 * @throws RangeError or TypeError for an option that is out of bounds, of another type, or unknown
 */
export function createRetryingFetch(options?: RetryOptions): Fetch {
  const policy = policyOf(options);
  const client: ClientState = {
    policy,
    origins: new RecentMap(MAX_ORIGINS),
    keys: new KeyMemory(),
  };
  return async (input, init) => {
    const url = urlOf(input);
    if (!/^https?:/i.test(url)) return (policy.fetch ?? globalThis.fetch)(input, init);
    const request = await toRepeatableOrThrow(input, init, url);
    return new Call(client, request).run();
  };
}

/** A retrying fetch with every default. All modules that import it share its state. */
export const retryingFetch: Fetch = createRetryingFetch();

async function toRepeatableOrThrow(input: FetchInput, init: FetchInit | undefined, url: string) {
  try {
    return await toRepeatable(input, init);
  } catch (error) {
    if (!(error instanceof NotRepeatableError)) throw error;
    const method = init?.method ?? (input as Partial<Request>).method ?? 'GET';
    const details = { attempts: 0, mayHaveExecuted: false, method, url } as const;
    throw new RetryError(`${method} ${withoutQuery(url)} was not sent: ${error.message}.`, {
      ...details,
      reason: 'not-repeatable',
    });
  }
}

/** One logical call: one key, many attempts. */
class Call {
  private readonly origin: OriginCircuit;
  private readonly startedAt = performance.now();
  private readonly nextPause: () => number;
  private attempts = 0;
  private mayHaveExecuted = false;
  private last?: Failed;

  constructor(
    private readonly client: ClientState,
    private readonly request: RepeatableRequest,
  ) {
    const { origin } = new URL(request.url);
    this.origin = client.origins.get(origin) ?? new OriginCircuit(client.policy);
    client.origins.set(origin, this.origin);
    this.nextPause = pausesOf(client.policy);
  }

  async run(): Promise<Response> {
    if (!this.request.callersKey) return this.send();
    const key = await this.client.keys.claim(this.request);
    if (!key) throw this.giveUpError('key-reused');
    try {
      const response = await this.send();
      const isRefused = response.status >= 400 && response.status < 500;
      if (isRefused && !callReport(response)?.gaveUp) key.forget();
      return response;
    } catch (error) {
      if (this.attempts === 0 && key.isNew) key.forget();
      throw error;
    }
  }

  private async send(): Promise<Response> {
    for (;;) {
      const outcome = await this.origin.run(() => this.attempt());
      if (!outcome) return this.giveUp('circuit-open');
      this.last?.response?.body?.cancel().catch(() => undefined); // it may have broken off by now
      if (outcome.reason === undefined) {
        if (!isOriginFailure(outcome)) this.origin.budget?.earn();
        return this.withReport(outcome.response);
      }
      this.last = outcome;
      this.mayHaveExecuted ||= outcome.mayHaveExecuted;
      const pauseMs = outcome.floorMs + this.nextPause();
      const reason = this.reasonToGiveUp(pauseMs);
      if (reason) return this.giveUp(reason);
      this.announce(outcome, pauseMs);
      await pause(pauseMs, this.request.signal);
    }
  }

  private attempt(): Promise<Outcome> {
    const { fetch, attemptTimeoutMs } = this.client.policy;
    this.attempts += 1;
    const timeoutMs = Math.max(1, Math.min(attemptTimeoutMs, this.remainingMs()));
    return attempt(this.request, fetch ?? globalThis.fetch, timeoutMs);
  }

  private remainingMs(): number {
    return this.client.policy.deadlineMs - (performance.now() - this.startedAt);
  }

  private reasonToGiveUp(pauseMs: number): GiveUpReason | undefined {
    if (this.attempts >= this.client.policy.maxAttempts) return 'attempts';
    if (pauseMs >= this.remainingMs()) return 'deadline';
    if (this.origin.isOpen) return 'circuit-open';
    return this.origin.budget?.take() === false ? 'budget' : undefined;
  }

  /**
   * The last response where there was one.
   *
   * @throws RetryError where there was none
   */
  private giveUp(reason: GiveUpReason): Response {
    const error = this.giveUpError(reason);
    const response = this.last?.response;
    if (!response) throw error;
    return this.withReport(asFinal(response), error);
  }

  /** Puts the report on a response. The report of a retrying fetch below stays: it counts all attempts. */
  private withReport(response: Response, gaveUp?: RetryError): Response {
    if (callReport(response)) return response;
    const { idempotencyKey } = this.request;
    return attachReport(response, { attempts: this.attempts, idempotencyKey, gaveUp });
  }

  private giveUpError(reason: GiveUpReason): RetryError {
    const { method, url, idempotencyKey } = this.request;
    const { attempts, mayHaveExecuted } = this;
    const details = { reason, attempts, mayHaveExecuted, idempotencyKey, method, url };
    return new RetryError(messageOf(details, this.last), { ...details, cause: this.last?.cause });
  }

  private announce({ reason, response, cause }: Failed, pauseMs: number): void {
    const { onRetry } = this.client.policy;
    if (!onRetry) return;
    const { method, url, idempotencyKey } = this.request;
    const about = { method, url, idempotencyKey, status: response?.status, cause };
    // The promise catches what the hook throws, or rejects with where it is async.
    new Promise<void>((resolve) => {
      resolve(onRetry({ attempt: this.attempts, reason, pauseMs, ...about }));
    }).catch((error: unknown) => console.error('onRetry threw:', error));
  }
}

const BECAUSE: Record<GiveUpReason, string> = {
  attempts: 'no more are allowed',
  deadline: 'the deadline leaves no time for another',
  budget: 'the retry budget of this origin is spent',
  'circuit-open': 'this origin failed so often in a row that it is left alone for a while',
  'not-repeatable': 'its body can be sent only once',
  'key-reused':
    'this Idempotency-Key was last used for another request. Send that one unchanged, or use a new ' +
    'key for a new operation',
};

/** Says what happened, whether the request may have been executed, and what to do. */
function messageOf(
  details: Omit<ConstructorParameters<typeof RetryError>[1], 'cause'>,
  last: Failed | undefined,
): string {
  const { method, url, reason, attempts, mayHaveExecuted, idempotencyKey: key } = details;
  const what = `${method} ${withoutQuery(url)}`;
  if (attempts === 0) return `${what} was not sent: ${BECAUSE[reason]}.`;
  const lastEnd = last?.response ? `answered ${last.response.status}` : last?.reason;
  const tries = attempts === 1 ? '1 attempt' : `${attempts} attempts`;
  const ended = `${what} was given up after ${tries}: ${BECAUSE[reason]} (the last one: ${lastEnd}).`;
  if (!mayHaveExecuted) return `${ended} It was not executed.`;
  if (key === undefined) return `${ended} It may have been executed.`;
  return (
    `${ended} It may have been executed. To find out, send the same request again with ` +
    `Idempotency-Key: ${key}, or ask a paidonce server: GET /v1/idempotency_keys/${key}.`
  );
}

/** A URL without its query, which may hold secrets. */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/** A copy of a response with the header that keeps clients around this one from retrying it. */
function asFinal(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set('stripe-should-retry', 'false');
  return withBody(response, response.body, headers);
}
