/** The error of a call that was given up, and the report on a response. */

/** Marks on errors and responses. Every loaded copy of this package uses the same. */
const ERROR = Symbol.for('paidonce.RetryError');
const REPORT = Symbol.for('paidonce.CallReport');

/**
 * Why a call was given up.
 *
 * - `attempts`: as many were made as are allowed;
 * - `deadline`: it has passed, or would pass before the next attempt;
 * - `budget`: this origin got too many retries for the responses it sent;
 * - `circuit-open`: this origin has failed so often in a row that it is left alone for a while;
 * - `not-repeatable`: the body can be sent only once; nothing was sent;
 * - `key-reused`: the caller's key belongs to another request; nothing was sent.
 */
export type GiveUpReason =
  'attempts' | 'deadline' | 'budget' | 'circuit-open' | 'not-repeatable' | 'key-reused';

/** What a `RetryError` knows about its call. */
export interface RetryErrorDetails {
  readonly reason: GiveUpReason;
  /** Attempts that were made; 0 when nothing was sent. */
  readonly attempts: number;
  /** Whether an attempt may have taken effect at the server. False only where that is impossible. */
  readonly mayHaveExecuted: boolean;
  /** The key of all attempts, the caller's or a new one. None for GET, HEAD, PUT, DELETE, OPTIONS. */
  readonly idempotencyKey?: string;
  readonly method: string;
  readonly url: string;
  /** The error of the last attempt, where it had one. */
  readonly cause?: unknown;
}

/**
 * A call that was given up without a response, or refused before anything was sent. The message says what
 * happened and what to do. `instanceof` also accepts errors of another copy of this package.
 *
 * When the caller's `AbortSignal` fires, a call rejects with the signal's reason instead, as `fetch` does.
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

/** What is known about the call that a response ended. */
export interface CallReport {
  /** Attempts that were made, the one of this response included. */
  readonly attempts: number;
  /** The key that all attempts carried. */
  readonly idempotencyKey?: string;
  /**
   * Set where the call was given up and this is the last response it got, a 503, say. It says why, and
   * whether the request may have been executed.
   */
  readonly gaveUp?: RetryError;
}

/**
 * The report on a response; undefined for a response that no retrying fetch returned, and for a `clone()`.
 */
export function callReport(response: Response): CallReport | undefined {
  return (response as { [REPORT]?: CallReport })[REPORT];
}

/** Puts a report on a response. */
export function attachReport(response: Response, report: CallReport): Response {
  return Object.defineProperty(response, REPORT, { value: report });
}
