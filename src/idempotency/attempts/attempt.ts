/**
 * One execution of a handler for one key, from the decision to run it to the commit of its answer.
 * Here the atomic kind (R9), and the one without a key; `phases.ts` has the phased kind (R10).
 */
import type { Answer } from '../contract/idempotency.options';
import { assertStorable, type OutgoingAnswer } from '../pipeline/pending-response';
import { IdempotencyError, IdempotencyStoreUnavailableError } from '../contract/idempotency.errors';
import type { Fence, KeyId, KeyStore, StoredRequest } from '../store/key.store';
import { isWorthRepeating, type Transaction } from '../store/postgres/transaction';

/** How the handler ended, beside what is on its way out. */
export interface HandlerEnd {
  /** Whether the handler itself was reached (R14). */
  readonly entered: boolean;
  /** What it threw, if it did. */
  readonly error?: unknown;
}

/** The state of a request that was let through. */
export interface Attempt {
  /** The life and execution this is, for the one who must find out what became of it (R21). */
  readonly fence: Fence;
  /** Id of the request that ran first in this life (R17). */
  readonly originalRequest: string;
  /** Runs the handler's part of the pipeline. */
  run<T>(work: () => T): T;
  /**
   * Commits or undoes, by what is about to be sent.
   *
   * @param kept what of it is stored
   * @returns whether the answer is stored; errors say why it could not be
   */
  seal(outgoing: OutgoingAnswer, end: HandlerEnd, kept: Answer): Promise<boolean>;
  /** The answer will never be sent: the client is gone, or somebody else answered. */
  abandon(): Promise<void>;
}

/** What becomes of a handler's writes and of its answer (R13, R14). */
export type Fate = 'commit' | 'store the answer alone' | 'undo';

/** Statuses that say nothing final: never stored (R13). */
const PASSING = new Set([408, 425, 429]);

/** @param returned an error that the handler returned as its outcome, to commit with its writes */
export function fateOf(status: number, end: HandlerEnd, returned?: Error): Fate {
  const { entered, error } = end;
  if (status < 400 && error === undefined) return 'commit';
  const retryable = (error as { retryable?: unknown } | undefined)?.retryable === true;
  if (!entered || status >= 500 || PASSING.has(status) || retryable) return 'undo';
  return error !== undefined && error === returned ? 'commit' : 'store the answer alone';
}

/** The handler's writes and the finished row commit in one transaction (R9). */
export class AtomicAttempt implements Attempt {
  constructor(
    private readonly store: KeyStore,
    private readonly transaction: Transaction,
    private readonly id: KeyId,
    readonly fence: Fence,
    private readonly request: StoredRequest,
    private readonly replaces?: Fence,
  ) {}

  get originalRequest(): string {
    return this.request.originalRequest;
  }

  run<T>(work: () => T): T {
    return this.transaction.run(work);
  }

  async seal(outgoing: OutgoingAnswer, end: HandlerEnd, kept: Answer): Promise<boolean> {
    const { store, transaction, id, fence, request, replaces } = this;
    const fate = fateOf(outgoing.status, end);
    if (fate === 'undo' || outgoing.unstorable) await transaction.rollback();
    if (fate === 'undo') {
      rethrowOwn(end.error);
      return false;
    }
    assertStorable(outgoing);
    if (fate === 'commit') {
      await store.complete(transaction, id, fence, request, kept, replaces);
    } else {
      await transaction.rollback();
      await store.completeAlone(id, fence, request, kept);
    }
    return true;
  }

  abandon(): Promise<void> {
    return this.transaction.rollback();
  }
}

/** No key was sent and none is needed (R2): one transaction, nothing stored. */
export class KeylessAttempt implements Attempt {
  readonly fence = { claimId: '', attempt: 0 };
  readonly originalRequest = '';

  constructor(private readonly transaction: Transaction) {}

  run<T>(work: () => T): T {
    return this.transaction.run(work);
  }

  async seal(outgoing: OutgoingAnswer, end: HandlerEnd): Promise<boolean> {
    if (fateOf(outgoing.status, end) === 'commit') {
      await this.transaction.commit();
    } else {
      await this.transaction.rollback();
      rethrowOwn(end.error);
    }
    return false;
  }

  abandon(): Promise<void> {
    return this.transaction.rollback();
  }
}

/** Errors this module answers itself, whatever an exception filter made of them. */
export function rethrowOwn(error: unknown): void {
  if (error instanceof IdempotencyError) throw error;
  // Everything was rolled back, so this is worth retrying: never a bare 500.
  if (isWorthRepeating(error)) throw new IdempotencyStoreUnavailableError({ cause: error });
}
