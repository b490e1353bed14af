/** An atomic operation without a key, where none is required (R2): one transaction, nothing stored. */
import type { KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { type Attempt, type HandlerEnd, rethrowModuleError, transactionEndOf } from './attempt';
import type { OutgoingResponse } from './outgoing-response';

export class KeylessAttempt implements Attempt {
  constructor(
    private readonly store: KeyStore,
    private readonly transaction: OpenTransaction,
  ) {}

  run<T>(work: () => T): T {
    return this.transaction.run(work);
  }

  async finishWith(outgoing: OutgoingResponse, end: HandlerEnd): Promise<boolean> {
    if (transactionEndOf(outgoing.status, end) === 'commit') {
      await this.transaction.commit();
    } else {
      await this.transaction.rollback();
      rethrowModuleError(end.error, this.store);
    }
    return false;
  }

  giveUp(): Promise<void> {
    return this.transaction.rollback();
  }
}
