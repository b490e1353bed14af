/** The options of a retrying fetch: defaults, units, bounds. */

/** Sends a request, as the global `fetch` does. */
export type Fetch = typeof fetch;

/**
 * Why an attempt is retried.
 *
 * - `connection-lost`: no connection, or it broke before the whole response had arrived;
 * - `timeout`: the attempt took longer than `attemptTimeoutMs`;
 * - `in-use`: 409, the first attempt with this key is still running;
 * - `rate-limited`: 429;
 * - `server-error`: 5xx;
 * - `server-asks`: 408 or 425, or another response with `Stripe-Should-Retry: true`.
 */
export type RetryReason =
  'connection-lost' | 'timeout' | 'in-use' | 'rate-limited' | 'server-error' | 'server-asks';

/** What `onRetry` is told about a retry. */
export interface RetryEvent {
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  readonly reason: RetryReason;
  /** Pause before the next attempt, in milliseconds. */
  readonly pauseMs: number;
  readonly method: string;
  readonly url: string;
  /** The key of all attempts; none for GET, HEAD, PUT, DELETE and OPTIONS. */
  readonly idempotencyKey?: string;
  /** HTTP status of the response, where there was one. */
  readonly status?: number;
  /** The error that ended the attempt, where there was no response. */
  readonly cause?: unknown;
}

/** How many retries an origin may get. */
export interface BudgetOptions {
  /** Retries that can be made in a row, at the start too: 0–10,000. Default 10. */
  readonly capacity?: number;
  /** What each response below 500 that ends its call gives back: 0–1 retries. Default 0.1. */
  readonly earnPerSuccess?: number;
}

/** When an origin gets no requests for a while. */
export interface BreakerOptions {
  /**
   * Failures in a row that open the circuit: 1–10,000. Default 20, more than `maxAttempts`, so that one
   * unlucky call cannot open it for all others.
   */
  readonly failures?: number;
  /**
   * How long it stays open before a single request probes the origin, in milliseconds: 1–3,600,000.
   * Drawn anew each time between half of it and all of it, so that many clients do not probe at the same
   * moment. Default 5,000.
   */
  readonly probeAfterMs?: number;
}

/** Options of a retrying fetch. `createRetryingFetch` checks each number. */
export interface RetryOptions {
  /** Sends the requests. Default: the global `fetch`, looked up at each attempt. */
  readonly fetch?: Fetch;
  /**
   * The time for a whole call with all attempts and pauses, once its body is in memory, in milliseconds:
   * 1–86,400,000. Default 30,000.
   */
  readonly deadlineMs?: number;
  /**
   * The time for one attempt, from sending to the last byte of the response, in milliseconds: 1–86,400,000. The deadline
   * ends it earlier. Default 12,000: more than the 10 s that a paidonce server gives its acquirer, so that
   * a slow payment ends within its first attempt, and short enough for a second one.
   */
  readonly attemptTimeoutMs?: number;
  /** How many attempts a call has, the first included: 1–100. Default 8. */
  readonly maxAttempts?: number;
  /** Upper bound of the first pause, in milliseconds: 0–3,600,000. It doubles with each. Default 100. */
  readonly baseDelayMs?: number;
  /** Upper bound of any pause, `Retry-After` apart, in milliseconds: 0–3,600,000. Default 5,000. */
  readonly maxDelayMs?: number;
  /**
   * `full`, the default, draws each pause between 0 and its upper bound. `none` always pauses for the
   * upper bound, so clients that failed together come back together: for experiments.
   */
  readonly jitter?: 'full' | 'none';
  /** Bounds the retries at one origin, over all calls; `false` lifts it. */
  readonly budget?: BudgetOptions | false;
  /** Sends no requests to an origin that keeps failing; `false` always sends. */
  readonly breaker?: BreakerOptions | false;
  /**
   * Called before the pause of each retry. An error it throws is printed with `console.error` and does
   * not change the call.
   */
  readonly onRetry?: (event: RetryEvent) => void;
}

/** The options, with the defaults filled in. */
export type RetryPolicy = ReturnType<typeof policyOf>;

const OPTIONS =
  'fetch deadlineMs attemptTimeoutMs maxAttempts baseDelayMs maxDelayMs jitter budget breaker onRetry'.split(
    ' ',
  );
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MAX_COUNT = 10_000;

/**
 * Checks the options and fills in the defaults.
 *
 * @throws RangeError or TypeError for an option that is out of bounds, of another type, or unknown
 */
export function policyOf(options: RetryOptions = {}) {
  assertKnown('The options', options, OPTIONS);
  const { budget = {}, breaker = {}, jitter = 'full' } = options;
  if (budget !== false) assertKnown('budget', budget, ['capacity', 'earnPerSuccess']);
  if (breaker !== false) assertKnown('breaker', breaker, ['failures', 'probeAfterMs']);
  for (const name of ['fetch', 'onRetry'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') {
      throw new TypeError(`${name} must be a function.`);
    }
  }
  if (jitter !== 'full' && jitter !== 'none') {
    throw new TypeError(`jitter must be 'full' or 'none', not ${String(jitter)}.`);
  }
  return {
    fetch: options.fetch,
    onRetry: options.onRetry,
    jitter,
    deadlineMs: numberOption('deadlineMs', options.deadlineMs, {
      fallback: 30_000,
      min: 1,
      max: DAY_MS,
    }),
    attemptTimeoutMs: numberOption('attemptTimeoutMs', options.attemptTimeoutMs, {
      fallback: 12_000,
      min: 1,
      max: DAY_MS,
    }),
    maxAttempts: wholeNumberOption('maxAttempts', options.maxAttempts, {
      fallback: 8,
      min: 1,
      max: 100,
    }),
    baseDelayMs: numberOption('baseDelayMs', options.baseDelayMs, {
      fallback: 100,
      min: 0,
      max: HOUR_MS,
    }),
    maxDelayMs: numberOption('maxDelayMs', options.maxDelayMs, {
      fallback: 5_000,
      min: 0,
      max: HOUR_MS,
    }),
    budget: budget && {
      capacity: numberOption('budget.capacity', budget.capacity, {
        fallback: 10,
        min: 0,
        max: MAX_COUNT,
      }),
      earnPerSuccess: numberOption('budget.earnPerSuccess', budget.earnPerSuccess, {
        fallback: 0.1,
        min: 0,
        max: 1,
      }),
    },
    breaker: breaker && {
      failures: wholeNumberOption('breaker.failures', breaker.failures, {
        fallback: 20,
        min: 1,
        max: MAX_COUNT,
      }),
      probeAfterMs: numberOption('breaker.probeAfterMs', breaker.probeAfterMs, {
        fallback: 5_000,
        min: 1,
        max: HOUR_MS,
      }),
    },
  } as const;
}

interface Bounds {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
}

function numberOption(
  name: string,
  value: number | undefined,
  { fallback, min, max }: Bounds,
): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw new RangeError(`${name} must be a number from ${min} to ${max}, not ${value}.`);
}

function wholeNumberOption(name: string, value: number | undefined, bounds: Bounds): number {
  const found = numberOption(name, value, bounds);
  if (Number.isInteger(found)) return found;
  throw new RangeError(`${name} must be a whole number, not ${found}.`);
}

/** @throws TypeError for a misspelt option, which would silently be its default */
function assertKnown(what: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${what} must be an object, not ${String(options)}.`);
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new TypeError(`${what} cannot have ${unknown}. Known are: ${names.join(', ')}.`);
}
