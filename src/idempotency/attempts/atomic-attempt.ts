/** An atomic operation: the handler's writes and the finished row commit in one transaction (R9). */
import type { StoredResponse } from '../contract/idempotency.options';
import type { Fence } from '../store/fence';
import type { KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import type { Attempt, KeyLife } from './attempt';
import { type AttemptEnd, type HandlerEnd, rollBackUnlessWhole } from './outcome';
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

  handlerFailed(): Promise<void> {
    return this.start.transaction.rollback();
  }

  async finishWith(
    outgoing: OutgoingResponse,
    handlerEnd: HandlerEnd,
    storedResponse: StoredResponse,
  ): Promise<AttemptEnd> {
    const { store } = this;
    const { transaction, life, replaces } = this.start;
    const { id, fence, request } = life;
    const end = await rollBackUnlessWhole(transaction, outgoing, handlerEnd, store);
    if (end === 'not stored' || end === 'to be retried') return end;
    assertStorable(outgoing);
    if (end === 'commit') {
      await store.finishNew(transaction, { id, fence, request, storedResponse, replaces });
    } else {
      await store.finishAlone({ id, fence, request, storedResponse });
    }
    return 'stored';
  }

  giveUp(): Promise<void> {
    return this.start.transaction.rollback();
  }
}
