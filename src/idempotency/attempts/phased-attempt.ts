/**
 * A phased operation (R10 to R12): its phases run one by one, and the last one commits together with the
 * response.
 */
import { IdempotencyError, IdempotencyOutcomeUnknownError } from '../contract/idempotency.errors';
import type { StoredResponse } from '../contract/idempotency.options';
import type { KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { CommitInDoubtError, LeaseLostError } from '../store/store.errors';
import {
  type Attempt,
  type HandlerEnd,
  type KeyLife,
  rethrowModuleError,
  transactionEndOf,
} from './attempt';
import { assertStorable, type OutgoingResponse } from './outgoing-response';
import { type PhasedStart, PhaseRunner } from './phase-runner';
import { isRow, openTransactionOf, type PhaseState } from './phase-state';

const REFUSAL =
  'A phased operation may use the database only inside phases.local() and phases.finish(): ' +
  'outside of them nothing would stop a writer that has lost its key.';

export class PhasedAttempt implements Attempt {
  readonly life: KeyLife;
  readonly phases: PhaseRunner;

  constructor(
    private readonly store: KeyStore,
    private readonly start: PhasedStart,
  ) {
    this.life = start.life;
    this.phases = new PhaseRunner(store, start);
  }

  run<T>(work: () => T): T {
    return this.store.refuseDatabase(REFUSAL, work);
  }

  async finishWith(
    outgoing: OutgoingResponse,
    handlerEnd: HandlerEnd,
    storedResponse: StoredResponse,
  ): Promise<boolean> {
    const { store } = this;
    const { id, fence, request } = this.life;
    const state = this.phases.end();
    if (state.is === 'lease lost' || state.is === 'over') throw new LeaseLostError();
    const hasRow = isRow(state.hold);
    const left = openTransactionOf(state);
    const returned = state.is === 'past the last phase' ? state.returned : undefined;
    const end = transactionEndOf(outgoing.status, handlerEnd, returned);
    // Only a last phase that succeeded stays open; everything else is rolled back before the response.
    const { unknownOutcome } = this.phases;
    const isOpen =
      end === 'commit' && !unknownOutcome && !outgoing.unstorable && state.is !== 'in a phase';
    const open = isOpen ? left : undefined;
    if (!open) await left?.rollback();
    if (end === 'roll back' || unknownOutcome) {
      if (hasRow) await store.endLease(id, fence).catch(() => undefined);
      if (unknownOutcome) throw unknownOutcome;
      this.rethrow(handlerEnd.error, hasRow);
      return false;
    }
    assertStorable(outgoing);
    if (hasRow) {
      await this.finishRow(state, open, storedResponse);
    } else if (end === 'store response only') {
      await store.finishAlone({ id, fence, request, storedResponse });
    } else {
      if (!open) throw unawaited(state);
      const { from } = this.start;
      const replaces = 'lock' in from ? from.replaces : undefined;
      await store.finishNew(open, { id, fence, request, storedResponse, replaces });
    }
    return true;
  }

  async giveUp(): Promise<void> {
    // The lease is not ended here: a remote call may still be on its way.
    await openTransactionOf(this.phases.end())?.rollback();
  }

  /** After a failure the row stays unfinished, for the next attempt, which may begin at once. */
  private async finishRow(
    state: PhaseState,
    open: OpenTransaction | undefined,
    storedResponse: StoredResponse,
  ): Promise<void> {
    const { store } = this;
    const { id, fence, request } = this.life;
    try {
      if (state.is === 'in a phase') throw unawaited(state);
      const { ttlSeconds } = request;
      const transaction = open ?? (await store.resume(id, fence));
      await store.finish(transaction, { id, fence, storedResponse, ttlSeconds });
    } catch (error) {
      if (error instanceof LeaseLostError || error instanceof CommitInDoubtError) throw error;
      await store.endLease(id, fence).catch(() => undefined);
      throw new IdempotencyOutcomeUnknownError({ cause: error });
    }
  }

  private rethrow(error: unknown, hasRow: boolean): void {
    const isOwn = error instanceof IdempotencyError;
    if (hasRow && !isOwn && this.store.isWorthRepeating(error)) {
      throw new IdempotencyOutcomeUnknownError({ cause: error });
    }
    rethrowModuleError(error, this.store);
  }
}

const unawaited = (state: PhaseState): Error =>
  new Error(
    state.is === 'in a phase'
      ? `The handler returned while its phase "${state.name}" was running. Await every phase.`
      : 'The transaction of this request is already over.',
  );
