/** The options of a retrying fetch: defaults, units, bounds. */

/** Sends a request, as the global `fetch` does. */
export type Fetch = typeof fetch;

/**
 * What made an attempt worth repeating.
 *
 * - `connection-lost`: no connection, or it broke before the answer was whole;
 * - `timeout`: the attempt took longer than `attemptTimeoutMs`;
 * - `in-use`: 409, the first attempt with this key is still running;
 * - `rate-limited`: 429;
 * - `server-error`: 5xx;
 * - `server-asks`: 408 or 425, or another answer with `Stripe-Should-Retry: true`.
 */
export type RetryReason =
  'connection-lost' | 'timeout' | 'in-use' | 'rate-limited' | 'server-error' | 'server-asks';

/** One decision to try again. */
export interface RetryEvent {
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  readonly reason: RetryReason;
  /** Pause before the next attempt, in milliseconds. */
  readonly pauseMs: number;
  readonly method: string;
  readonly url: string;
  /** The key of all attempts; none for GET and its like. */
  readonly idempotencyKey?: string;
  /** Status of the answer, where there was one. */
  readonly status?: number;
  /** What ended the attempt, where there was no answer. */
  readonly cause?: unknown;
}

export interface BudgetOptions {
  /** Retries that can be made in a row, and what there is at the start: 0–10,000. Default 10. */
  readonly capacity?: number;
  /** What each answer below 500 that settles its call gives back: 0–1 retries. Default 0.1. */
  readonly earnPerSuccess?: number;
}

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

/** Options of a retrying fetch. Each number is checked when it is created. */
export interface RetryOptions {
  /** What sends. Default: the global `fetch`, looked up at each attempt. */
  readonly fetch?: Fetch;
  /**
   * The whole call with all attempts and pauses, from when its body is in memory, in milliseconds:
   * 1–86,400,000. Default 30,000.
   */
  readonly deadlineMs?: number;
  /**
   * One attempt, from sending to the last byte of the answer, in milliseconds: 1–86,400,000. The deadline
   * ends it earlier. Default 12,000: more than the 10 s that a paidonce server gives its acquirer, so that
   * a slow payment still answers its first attempt, and short enough for a second one.
   */
  readonly attemptTimeoutMs?: number;
  /** Attempts of a call, the first included: 1–100. Default 8. */
  readonly maxAttempts?: number;
  /** Upper bound of the first pause, in milliseconds: 0–3,600,000. It doubles with each. Default 100. */
  readonly baseDelayMs?: number;
  /** Upper bound of any pause, `Retry-After` apart, in milliseconds: 0–3,600,000. Default 5,000. */
  readonly maxDelayMs?: number;
  /**
   * `full`, the default, draws each pause between 0 and its upper bound. `none` pauses for the upper
   * bound itself, which sends the clients that failed together back together: for experiments.
   */
  readonly jitter?: 'full' | 'none';
  /** Bounds the retries at one origin, over all calls; `false` lifts it. */
  readonly budget?: BudgetOptions | false;
  /** Leaves an origin alone that keeps failing; `false` never does. */
  readonly breaker?: BreakerOptions | false;
  /**
   * Hears of each retry before its pause. What it throws is printed with `console.error` and changes
   * nothing about the call.
   */
  readonly onRetry?: (event: RetryEvent) => void;
}

/** The options with every default in its place. */
export type RetryPolicy = ReturnType<typeof policyOf>;

const OPTIONS =
  'fetch deadlineMs attemptTimeoutMs maxAttempts baseDelayMs maxDelayMs jitter budget breaker onRetry'.split(
    ' ',
  );
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MOST = 10_000;

/** @throws RangeError or TypeError for an option that is out of bounds, of another type, or unknown */
export function policyOf(options: RetryOptions = {}) {
  known('The options', options, OPTIONS);
  const { budget = {}, breaker = {}, jitter = 'full' } = options;
  if (budget !== false) known('budget', budget, ['capacity', 'earnPerSuccess']);
  if (breaker !== false) known('breaker', breaker, ['failures', 'probeAfterMs']);
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
    deadlineMs: within('deadlineMs', options.deadlineMs, 30_000, 1, DAY_MS),
    attemptTimeoutMs: within('attemptTimeoutMs', options.attemptTimeoutMs, 12_000, 1, DAY_MS),
    maxAttempts: whole('maxAttempts', options.maxAttempts, 8, 1, 100),
    baseDelayMs: within('baseDelayMs', options.baseDelayMs, 100, 0, HOUR_MS),
    maxDelayMs: within('maxDelayMs', options.maxDelayMs, 5_000, 0, HOUR_MS),
    budget: budget && {
      capacity: within('budget.capacity', budget.capacity, 10, 0, MOST),
      earnPerSuccess: within('budget.earnPerSuccess', budget.earnPerSuccess, 0.1, 0, 1),
    },
    breaker: breaker && {
      failures: whole('breaker.failures', breaker.failures, 20, 1, MOST),
      probeAfterMs: within('breaker.probeAfterMs', breaker.probeAfterMs, 5_000, 1, HOUR_MS),
    },
  } as const;
}

function within(
  name: string,
  value: number | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw new RangeError(`${name} must be a number from ${min} to ${max}, not ${value}.`);
}

function whole(
  name: string,
  value: number | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  const found = within(name, value, fallback, min, max);
  if (Number.isInteger(found)) return found;
  throw new RangeError(`${name} must be a whole number, not ${found}.`);
}

/** A misspelt option would silently be its default. */
function known(what: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${what} must be an object, not ${String(options)}.`);
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new TypeError(`${what} cannot have ${unknown}. Known are: ${names.join(', ')}.`);
}
