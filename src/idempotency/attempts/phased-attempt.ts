/**
 * A phased operation (R10 to R12): its phases run one by one, and the last one commits together with the
 * response.
 */
import { IdempotencyError, IdempotencyOutcomeUnknownError } from '../contract/idempotency.errors';
import type { StoredResponse } from '../contract/idempotency.options';
import type { KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { CommitInDoubtError, LeaseLostError } from '../store/store.errors';
import type { Attempt, KeyLife } from './attempt';
import {
  type AttemptEnd,
  type HandlerEnd,
  isTransient,
  refusalOf,
  transactionEndOf,
} from './outcome';
import { assertStorable, type OutgoingResponse } from './outgoing-response';
import { type PhasedStart, PhaseRunner } from './phase-runner';
import { isRow, openTransactionOf, type PhaseState } from './phase-state';

const REFUSAL =
  'A phased operation may use the database only inside phases.local() and phases.finish(): ' +
  'outside of them nothing would stop a writer that has lost its key. Work that may commit on its own, ' +
  'whatever becomes of the request, can run in outsideTransaction().';

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

  async handlerFailed(error: unknown): Promise<void> {
    const state = this.phases.current;
    const open = openTransactionOf(state);
    const isOutcome = state.is === 'past the last phase' && state.returned === error;
    if (isOutcome && error !== undefined) open?.giveWayLater();
    else await open?.rollback();
  }

  async finishWith(
    outgoing: OutgoingResponse,
    handlerEnd: HandlerEnd,
    storedResponse: StoredResponse,
  ): Promise<AttemptEnd> {
    const { store } = this;
    const { id, fence, request } = this.life;
    const state = this.phases.end();
    if (state.is === 'lease lost' || state.is === 'over') throw new LeaseLostError();
    const hasRow = isRow(state.hold);
    const { error, ended } = handlerEnd;
    const left = openTransactionOf(state);
    if (!ended) {
      // That response goes out at once, although a phase may be under way (R14a).
      void this.endWithout(left, hasRow);
      return 'to be retried';
    }
    const returned = state.is === 'past the last phase' ? state.returned : undefined;
    // Only a last phase that succeeded stays open; everything else is rolled back before the response.
    const leadsToCommit = error === undefined ? outgoing.status < 400 : error === returned;
    const isWhole = leadsToCommit && !outgoing.unstorable && state.is !== 'in a phase';
    if (!isWhole) await left?.rollback();
    const { unknownOutcome } = this.phases;
    const failure = left?.failure ?? this.phases.failure;
    const transient = isTransient(error, store, { failure });
    // The phase that was to store the row failed, and the handler caught that and went on.
    const hasNothing = error === undefined && failure !== undefined && !hasRow;
    const end =
      unknownOutcome || hasNothing
        ? 'refuse'
        : transactionEndOf(handlerEnd, { status: outgoing.status, transient, returned });
    const open = isWhole && end === 'commit' ? left : undefined;
    if (!open) await left?.rollback();
    if (end === 'roll back' || end === 'refuse') {
      if (hasRow) await store.endLease(id, fence).catch(() => undefined);
      if (end === 'refuse') throw unknownOutcome ?? refuse(error, failure, hasRow);
      return transient ? 'to be retried' : 'not stored';
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
    return 'stored';
  }

  /** Another response is sent: the next attempt may begin at once. */
  private async endWithout(left: OpenTransaction | undefined, hasRow: boolean): Promise<void> {
    const { id, fence } = this.life;
    await left?.rollback();
    if (hasRow) await this.store.endLease(id, fence).catch(() => undefined);
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
}

/** With a claim the far side may have acted, so the outcome is not known. */
function refuse(error: unknown, failure: unknown, hasRow: boolean): IdempotencyError {
  const isOwn = error instanceof IdempotencyError;
  return hasRow && !isOwn
    ? new IdempotencyOutcomeUnknownError({ cause: error ?? failure })
    : refusalOf(error, failure);
}

const unawaited = (state: PhaseState): Error =>
  new Error(
    state.is === 'in a phase'
      ? `The handler returned while its phase "${state.name}" was running. Await every phase.`
      : 'The transaction of this request is already over.',
  );
