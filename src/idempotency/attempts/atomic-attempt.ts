/** An atomic operation: the handler's writes and the finished row commit in one transaction (R9). */
import type { StoredResponse } from '../contract/idempotency.options';
import type { Fence } from '../store/fence';
import type { KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import {
  type Attempt,
  type HandlerEnd,
  type KeyLife,
  rethrowModuleError,
  transactionEndOf,
} from './attempt';
import { assertStorable, type OutgoingResponse } from './outgoing-response';

/** What an atomic attempt is about. */
export interface AtomicStart {
  readonly life: KeyLife;
  /** Holds the key's lock. */
  readonly transaction: OpenTransaction;
  /** The expired life that this one replaces (R5). */
  readonly replaces?: Fence;
}

export class AtomicAttempt implements Attempt {
  readonly life: KeyLife;

  constructor(
    private readonly store: KeyStore,
    private readonly start: AtomicStart,
  ) {
    this.life = start.life;
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
    const { transaction, life, replaces } = this.start;
    const end = transactionEndOf(outgoing.status, handlerEnd);
    if (end === 'roll back' || outgoing.unstorable) await transaction.rollback();
    if (end === 'roll back') {
      rethrowModuleError(handlerEnd.error, store);
      return false;
    }
    assertStorable(outgoing);
    const { id, fence, request } = life;
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
