/** An atomic operation without a key, where none is required (R2): one transaction, nothing stored. */
import type { KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import type { Attempt } from './attempt';
import { type AttemptEnd, type HandlerEnd, rollBackUnlessWhole } from './outcome';
import type { OutgoingResponse } from './outgoing-response';

export class KeylessAttempt implements Attempt {
  constructor(
    private readonly store: KeyStore,
    private readonly transaction: OpenTransaction,
  ) {}

  run<T>(work: () => T): T {
    return this.transaction.run(work);
  }

  handlerFailed(): Promise<void> {
    return this.transaction.rollback();
  }

  async finishWith(outgoing: OutgoingResponse, handlerEnd: HandlerEnd): Promise<AttemptEnd> {
    const { transaction, store } = this;
    const end = await rollBackUnlessWhole(transaction, outgoing, handlerEnd, store);
    if (end === 'commit') await transaction.commit();
    return end === 'to be retried' ? end : 'not stored';
  }

  giveUp(): Promise<void> {
    return this.transaction.rollback();
  }
}
