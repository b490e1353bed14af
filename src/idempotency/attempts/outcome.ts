/**
 * Which responses are stored and which effects stay (R13, R13a, R14). An outcome is final. A transient failure
 * is not, whatever an exception filter made of it: the same request may succeed when it is sent again.
 */
import { HttpException } from '@nestjs/common';
import { IdempotencyError, IdempotencyStoreUnavailableError } from '../contract/idempotency.errors';
import type { KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import type { OutgoingResponse } from './outgoing-response';

/** How the handler ended, beside the response it led to. */
export interface HandlerEnd {
  /** Whether the handler itself was reached (R14). */
  readonly entered: boolean;
  /** Whether it had ended when the response went out; else that is somebody else's response (R14a). */
  readonly ended: boolean;
  /** What it threw, if it did. */
  readonly error?: unknown;
  /** Whether the application calls that error an outcome. */
  readonly isOutcome: boolean;
}

/** What decides on the end of an attempt, beside how its handler ended. */
export interface Circumstances {
  /** Of the outgoing response. */
  readonly status: number;
  /** Whether the database, or the way to something else, failed so that another try may succeed. */
  readonly transient: boolean;
  /** The error that the handler returned from its last phase, to commit with its writes. */
  readonly returned?: Error;
}

/** What becomes of a handler's writes and of its response. `refuse`: roll back, and send 503 instead. */
export type TransactionEnd = 'commit' | 'store response only' | 'roll back' | 'refuse';

/** How an attempt ended whose response is sent. */
export type AttemptEnd = 'stored' | 'not stored' | 'to be retried';

/** Also where the handler has reached more than the database: of that nothing is known here. */
const NOT_COMPLETED =
  'This request could not be completed now, and everything that it did in the database was undone.';

/** Statuses of temporary refusals: never stored (R13). */
const TEMPORARY = new Set([408, 425, 429]);

/** Of an attempt whose handler had ended. */
export function transactionEndOf(end: HandlerEnd, around: Circumstances): TransactionEnd {
  const { entered, error } = end;
  const { status, transient, returned } = around;
  if (error === undefined && status < 400) return 'commit';
  // Whatever a filter made of it.
  if (error instanceof IdempotencyError) return 'refuse';
  if (transient) return isClientError(status) && isRefusal(error) ? 'roll back' : 'refuse';
  const isFinal = entered && !isMarkedRetryable(error);
  if (status >= 400) {
    if (!isFinal || status >= 500 || TEMPORARY.has(status)) return 'roll back';
  } else if (!isFinal || !(end.isOutcome || error === returned || isFinalRefusal(error))) {
    return 'refuse';
  }
  return error !== undefined && error === returned ? 'commit' : 'store response only';
}

/**
 * Ends the transaction of an attempt without phases, unless it is to be committed with the response.
 *
 * @returns what is left to do: to commit, or to store the response alone; else how the attempt ended
 * @throws IdempotencyError to send instead of the response
 */
export async function rollBackUnlessWhole(
  transaction: OpenTransaction,
  { status, unstorable }: OutgoingResponse,
  end: HandlerEnd,
  store: KeyStore,
): Promise<'commit' | 'store response only' | Exclude<AttemptEnd, 'stored'>> {
  const { error, ended } = end;
  const isWhole = ended && error === undefined && status < 400 && !unstorable;
  if (isWhole) return 'commit';
  const rolledBack = transaction.rollback();
  // That response goes out at once, although a statement of the handler's may be under way (R14a).
  if (!ended) return 'to be retried';
  await rolledBack;
  const transient = isTransient(error, store, transaction);
  const decided = transactionEndOf(end, { status, transient });
  if (decided === 'refuse') throw refusalOf(error, transaction.failure);
  if (decided !== 'roll back') return decided;
  return transient ? 'to be retried' : 'not stored';
}

/**
 * What is sent after `refuse`, where no claim is left.
 *
 * @param error that ended the handler
 */
export const refusalOf = (error: unknown, failure?: unknown): IdempotencyError =>
  error instanceof IdempotencyError
    ? error
    : new IdempotencyStoreUnavailableError({ cause: error ?? failure }, NOT_COMPLETED);

/** Whether a handler's error is transient, or left its transaction so. */
export const isTransient = (
  error: unknown,
  store: KeyStore,
  { failure }: Pick<OpenTransaction, 'failure'> = {},
): boolean => failure !== undefined || store.hasRaised(error) || isSystemError(error);

/** Whether an error says itself that another try may succeed. */
export const isMarkedRetryable = (error: unknown): boolean =>
  (error as { retryable?: unknown } | null | undefined)?.retryable === true;

/** Whether a handler refuses by it: a 4xx of its own. */
const isRefusal = (error: unknown): error is HttpException =>
  error instanceof HttpException && isClientError(error.getStatus());

const isFinalRefusal = (error: unknown): boolean =>
  isRefusal(error) && !TEMPORARY.has(error.getStatus());

const isClientError = (status: number): boolean => status >= 400 && status < 500;

/**
 * Whether Node itself reports that something could not be reached, as of an HTTP call of the handler: bare, one
 * for each address that was tried, or in the TypeError of `fetch`. No `instanceof`: they may come from another
 * realm.
 */
function isSystemError(error: unknown): boolean {
  const { name, cause } = (error ?? {}) as Partial<Error>;
  return isReportOfNode(error) || (name === 'TypeError' && isReportOfNode(cause));
}

function isReportOfNode(error: unknown): boolean {
  const { errors } = (error ?? {}) as Partial<AggregateError>;
  return isBare(error) || (Array.isArray(errors) && errors.length > 0 && errors.every(isBare));
}

function isBare(error: unknown): boolean {
  const { code, syscall } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  return typeof code === 'string' && typeof syscall === 'string';
}
