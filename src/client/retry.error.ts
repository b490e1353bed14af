/** How a call ends without an answer that settles it, and what is known about one that has ended. */

/** Marks of this package on errors and answers; the same in every copy of it that is loaded. */
const ERROR = Symbol.for('paidonce.RetryError');
const REPORT = Symbol.for('paidonce.CallReport');

/**
 * Why a call was given up.
 *
 * - `attempts`: as many were made as are allowed;
 * - `deadline`: it has passed, or would pass before the next attempt may be made;
 * - `budget`: too many retries at this origin already, for the answers that came back;
 * - `circuit-open`: this origin has failed so often in a row that it is left alone for a while;
 * - `not-repeatable`: the body can be sent only once; nothing was sent;
 * - `key-reused`: the caller's key belongs to another request; nothing was sent.
 */
export type GiveUpReason =
  'attempts' | 'deadline' | 'budget' | 'circuit-open' | 'not-repeatable' | 'key-reused';

export interface RetryErrorDetails {
  readonly reason: GiveUpReason;
  /** Attempts that were made; 0 when nothing was sent. */
  readonly attempts: number;
  /** Whether one of them may have taken effect at the server. False only where that is certain. */
  readonly mayHaveExecuted: boolean;
  /** The key that all attempts carried, made here or the caller's. None for GET and its like. */
  readonly idempotencyKey?: string;
  readonly method: string;
  readonly url: string;
  /** What ended the last attempt, where that was an error. */
  readonly cause?: unknown;
}

/**
 * A call that was given up without any answer, or refused before anything was sent. Its message says
 * what happened and what to do. `instanceof` also knows the errors of another copy of this package.
 *
 * A call that ends because the caller's `AbortSignal` fired rejects with the signal's own reason
 * instead, as `fetch` does.
 */
export class RetryError extends Error implements RetryErrorDetails {
  override readonly name = 'RetryError';
  readonly reason: GiveUpReason;
  readonly attempts: number;
  readonly mayHaveExecuted: boolean;
  readonly idempotencyKey?: string;
  readonly method: string;
  readonly url: string;

  constructor(message: string, details: RetryErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = details.reason;
    this.attempts = details.attempts;
    this.mayHaveExecuted = details.mayHaveExecuted;
    this.idempotencyKey = details.idempotencyKey;
    this.method = details.method;
    this.url = details.url;
    Object.defineProperty(this, ERROR, { value: true });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && ERROR in value;
  }
}

/** What is known about the call behind an answer. */
export interface CallReport {
  /** Attempts that were made, this answer's included. */
  readonly attempts: number;
  /** The key that all attempts carried. */
  readonly idempotencyKey?: string;
  /**
   * Set when the call was given up and this is merely the last answer it got: a 503, say. It says why,
   * and whether the request may have been executed.
   */
  readonly gaveUp?: RetryError;
}

/**
 * What it took to get this answer; undefined for an answer that no retrying fetch returned, and for a
 * `clone()` of one.
 */
export function callReport(response: Response): CallReport | undefined {
  return (response as { [REPORT]?: CallReport })[REPORT];
}

/** Puts the report on the answer. */
export function withReport(response: Response, report: CallReport): Response {
  return Object.defineProperty(response, REPORT, { value: report });
}
