/** An atomic operation: the handler's writes and the finished row commit in one transaction (R9). */
import type { StoredResponse } from '../contract/idempotency.options';
import type { Fence } from '../store/fence';
import type { KeyId, KeyStore, StoredRequest } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { type Attempt, type HandlerEnd, rethrowModuleError, transactionEndOf } from './attempt';
import { assertStorable, type OutgoingResponse } from './outgoing-response';

/** What an atomic attempt is about. */
export interface AtomicStart {
  /** Holds the key's lock. */
  readonly transaction: OpenTransaction;
  readonly id: KeyId;
  readonly fence: Fence;
  readonly request: StoredRequest;
  /** The expired life that this one replaces (R5). */
  readonly replaces?: Fence;
}

export class AtomicAttempt implements Attempt {
  constructor(
    private readonly store: KeyStore,
    private readonly start: AtomicStart,
  ) {}

  get fence(): Fence {
    return this.start.fence;
  }

  get originalRequest(): string {
    return this.start.request.originalRequest;
  }

  run<T>(work: () => T): T {
    return this.start.transaction.run(work);
  }

  async finishWith(
    outgoing: OutgoingResponse,
    handlerEnd: HandlerEnd,
    storedResponse: StoredResponse,
  ): Promise<boolean> {
    const { store } = this;
    const { transaction, id, fence, request, replaces } = this.start;
    const end = transactionEndOf(outgoing.status, handlerEnd);
    if (end === 'roll back' || outgoing.unstorable) await transaction.rollback();
    if (end === 'roll back') {
      rethrowModuleError(handlerEnd.error, store);
      return false;
    }
    assertStorable(outgoing);
    if (end === 'commit') {
      await store.finishNew(transaction, { id, fence, request, storedResponse, replaces });
    } else {
      await transaction.rollback();
      await store.finishAlone({ id, fence, request, storedResponse });
    }
    return true;
  }

  giveUp(): Promise<void> {
    return this.start.transaction.rollback();
  }
}
