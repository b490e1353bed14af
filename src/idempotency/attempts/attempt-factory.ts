/** Makes the attempt of an admitted call: atomic, phased, or without a key. */
import { Inject, Injectable } from '@nestjs/common';
import {
  type Isolation,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
} from '../contract/idempotency.options';
import { newFence } from '../store/fence';
import { type KeyRow, KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { AtomicAttempt } from './atomic-attempt';
import type { Attempt, KeyLife } from './attempt';
import { KeylessAttempt } from './keyless-attempt';
import { leaseMsFor } from './phase-runner';
import { PhasedAttempt } from './phased-attempt';

/** A life of a key before its fence is known. */
type NewLife = Omit<KeyLife, 'fence'>;

/** A transaction that holds the lock of a key without a life. */
export interface Opening {
  readonly transaction: OpenTransaction;
  /** The expired life that the new one replaces (R5). */
  readonly replaces?: KeyRow;
}

@Injectable()
export class AttemptFactory {
  constructor(
    private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
  ) {}

  /** Without a key nothing is stored (R2). */
  async beginKeyless(isolation?: Isolation): Promise<Attempt> {
    return new KeylessAttempt(this.store, await this.store.begin(isolation));
  }

  /** Begins a life of a key. A request that is recorded is phased (R10); any other is atomic (R9). */
  begin(newLife: NewLife, { transaction, replaces }: Opening): Attempt {
    const life = { ...newLife, fence: newFence() };
    if (!life.request.recorded)
      return new AtomicAttempt(this.store, { life, transaction, replaces });
    const deadlineMs = this.options.remoteDeadlineMs;
    return new PhasedAttempt(this.store, {
      life,
      deadlineMs,
      from: { lock: transaction, replaces },
    });
  }

  /**
   * Goes on with a life whose owner lost its lease (R11).
   *
   * @throws LeaseLostError where another attempt was faster
   */
  async takeOver(life: NewLife, tx: OpenTransaction, row: KeyRow): Promise<Attempt> {
    const deadlineMs = this.options.remoteDeadlineMs;
    const fence = await this.store.takeOver(tx, life.id, row, leaseMsFor(deadlineMs));
    return new PhasedAttempt(this.store, { life: { ...life, fence }, deadlineMs, from: row });
  }
}
