/**
 * attempts/: one execution of a handler for one key, from the decision to run it to the commit of its
 * response. Here is what all kinds share; `atomic-attempt.ts` (R9), `keyless-attempt.ts` (R2) and
 * `phased-attempt.ts` (R10) are the kinds.
 */
import { IdempotencyError, IdempotencyStoreUnavailableError } from '../contract/idempotency.errors';
import type { Isolation, StoredResponse } from '../contract/idempotency.options';
import type { Phases } from '../contract/phases';
import type { Fence } from '../store/fence';
import type { KeyId, KeyStore, StoredRequest } from '../store/key.store';
import type { OutgoingResponse } from './outgoing-response';

/** How the handler ended, beside the response it led to. */
export interface HandlerEnd {
  /** Whether the handler itself was reached (R14). */
  readonly entered: boolean;
  /** What it threw, if it did. */
  readonly error?: unknown;
}

/** The life of a key that an attempt is part of. */
export interface KeyLife {
  readonly id: KeyId;
  /** The life and execution: identifies an attempt when its commit is in doubt (R21). */
  readonly fence: Fence;
  readonly request: StoredRequest;
  /** Of each transaction of the handler; the DataSource's or the server's where there is none (R9a). */
  readonly isolation?: Isolation;
  /** Its earliest end, by the database's clock, ms since 1970. */
  readonly expiresAtMs: number;
}

/** A request that was admitted to run. */
export interface Attempt {
  /** Nothing: without a key (R2). */
  readonly life?: KeyLife;
  /** What a phased handler is given. */
  readonly phases?: Phases;
  /** Runs the handler's part of the pipeline. */
  run<T>(work: () => T): T;
  /**
   * Commits or rolls back, as the outgoing response decides.
   *
   * @param storedResponse what of it is stored
   * @returns whether the response is stored
   * @throws LeaseLostError, KeyTakenError, CommitFailedError, CommitInDoubtError where it could
   *   not be stored; an IdempotencyError to send instead
   */
  finishWith(
    outgoing: OutgoingResponse,
    end: HandlerEnd,
    storedResponse: StoredResponse,
  ): Promise<boolean>;
  /** Rolls back: this attempt's response is never sent. */
  giveUp(): Promise<void>;
}

/** What becomes of a handler's writes and of its response (R13, R14). */
export type TransactionEnd = 'commit' | 'store response only' | 'roll back';

/** Statuses of temporary refusals: never stored (R13). */
const TEMPORARY = new Set([408, 425, 429]);

/** @param returned an error that the handler returned as its outcome, to commit with its writes */
export function transactionEndOf(
  status: number,
  end: HandlerEnd,
  returned?: Error,
): TransactionEnd {
  const { entered, error } = end;
  if (status < 400 && error === undefined) return 'commit';
  const retryable = (error as { retryable?: unknown } | undefined)?.retryable === true;
  if (!entered || status >= 500 || TEMPORARY.has(status) || retryable) return 'roll back';
  return error !== undefined && error === returned ? 'commit' : 'store response only';
}

/**
 * After a rollback: throws where the client gets one of this module's errors, whatever an exception
 * filter made of the handler's.
 *
 * @throws IdempotencyError that the handler threw
 * @throws IdempotencyStoreUnavailableError where the request is worth repeating: never a bare 500
 */
export function rethrowModuleError(error: unknown, store: KeyStore): void {
  if (error instanceof IdempotencyError) throw error;
  if (store.isWorthRepeating(error)) throw new IdempotencyStoreUnavailableError({ cause: error });
}
