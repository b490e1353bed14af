/**
 * Runs the phases of one attempt (R10, R11). Local phases are transactions that also record how far the
 * operation has come. Remote phases run outside of any transaction. One state says where the attempt stands.
 */
import { IdempotencyOutcomeUnknownError } from '../contract/idempotency.errors';
import type { Phases, RemoteOptions } from '../contract/phases';
import type { Fence } from '../store/fence';
import type { KeyRow, KeyStore } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { CommitInDoubtError, KeyTakenError, LeaseLostError } from '../store/store.errors';
import type { KeyLife } from './attempt';
import { asJson, PhaseResults } from './phase-results';
import { type InPhase, isRow, type PhaseState } from './phase-state';
import { callFarSide, type FarSideCall } from './remote-call';

/** How much longer a lease lasts than the longest remote phase, ms (R11). */
const LEASE_MARGIN_MS = 5_000;

/** The name that `phases.finish()` has in errors. */
const LAST_PHASE = 'phases.finish()';

const OVER = 'The response of this request is decided, so none of its phases may run any more.';

/** What a phased attempt is about. */
export interface PhasedStart {
  readonly life: KeyLife;
  /** Longest duration of a remote phase, ms. */
  readonly deadlineMs: number;
  /** A free key and its lock, or what earlier attempts left of a key that was taken over. */
  readonly from: FreeKey | Pick<KeyRow, 'phases' | 'ageMs'>;
}

/** A key that no life holds. */
export interface FreeKey {
  /** The transaction that holds the key's lock. */
  readonly lock: OpenTransaction;
  /** The expired life that this one replaces (R5). */
  readonly replaces?: Fence;
}

/** The remote phase whose outcome is unknown. No other phase runs until it has succeeded (R12a). */
interface FailedRemote {
  readonly name: string;
  readonly error: IdempotencyOutcomeUnknownError;
}

/**
 * How long a lease lasts, ms (R11).
 *
 * @param deadlineMs longest duration of a remote phase
 */
export const leaseMsFor = (deadlineMs: number): number => deadlineMs + LEASE_MARGIN_MS;

export class PhaseRunner implements Phases {
  /** When the claim was made, by `performance.now()`. */
  private readonly claimedMs: number;
  private readonly results: PhaseResults;
  private state: PhaseState;
  private failedRemote?: FailedRemote;
  /** The error worth repeating that ended the transaction of the latest phase, whoever caught it (R13a). */
  failure?: unknown;

  constructor(
    private readonly store: KeyStore,
    private readonly start: PhasedStart,
  ) {
    const { deadlineMs, from } = start;
    const nowMs = performance.now();
    const isFree = 'lock' in from;
    this.claimedMs = isFree ? nowMs : nowMs - from.ageMs;
    this.results = new PhaseResults(isFree ? {} : from.phases);
    const hold = isFree ? { lock: from.lock } : { leaseEndsMs: nowMs + leaseMsFor(deadlineMs) };
    this.state = { is: 'between phases', hold };
  }

  /** Why the outcome of the request is unknown, whatever its handler made of it (R12a); else nothing. */
  get unknownOutcome(): IdempotencyOutcomeUnknownError | undefined {
    return this.failedRemote?.error;
  }

  /** Where the attempt stands. */
  get current(): PhaseState {
    return this.state;
  }

  /** Lets no phase run any more. @returns where the attempt stood */
  end(): PhaseState {
    const state = this.state;
    this.state = { is: 'over' };
    return state;
  }

  local<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.phase(name, async () => {
      const transaction = await this.openPhase();
      try {
        const result = asJson(await transaction.run(work));
        await this.record(transaction, name, result);
        return result;
      } catch (error) {
        await transaction.rollback();
        this.failure = transaction.failure;
        throw this.translate(error);
      }
    });
  }

  remote<T>(name: string, call: FarSideCall<T>, options: RemoteOptions<T> = {}): Promise<T> {
    return this.phase(name, async ({ hold }) => {
      const { life, deadlineMs: maxMs } = this.start;
      const { deadlineMs = maxMs } = options;
      if (!isRow(hold)) {
        throw new Error(`The remote phase "${name}" needs a local phase before it (R10).`);
      }
      if (deadlineMs > maxMs) {
        throw new Error(`The remote phase "${name}" may take ${maxMs} ms at most.`);
      }
      // No call may outlast the lease, nor the far side's memory of its key.
      const timeoutMs = Math.min(deadlineMs, hold.leaseEndsMs - performance.now());
      if (timeoutMs <= 0) throw this.loseLease();
      const ageMs = performance.now() - this.claimedMs;
      const { claimId } = life.fence;
      const bounds = { name, claimId, ageMs, timeoutMs };
      let result: T | undefined;
      try {
        result = await callFarSide(call, bounds, options);
        this.failedRemote = undefined;
      } catch (error) {
        if (!options.mayFail) {
          this.failedRemote = { name, error: error as IdempotencyOutcomeUnknownError };
          throw error;
        }
      }
      this.results.add(name, result);
      return result as T;
    });
  }

  finish<T>(work: () => Promise<T | Error>): Promise<T> {
    return this.phase(LAST_PHASE, async () => {
      const transaction = await this.openPhase();
      let outcome: T | Error;
      try {
        outcome = await transaction.run(work);
      } catch (error) {
        await transaction.rollback();
        this.failure = transaction.failure;
        this.state = { is: 'past the last phase', hold: this.running().hold };
        throw this.translate(error);
      }
      const returned = outcome instanceof Error ? outcome : undefined;
      const { hold } = this.running();
      this.state = { is: 'past the last phase', hold, transaction, returned };
      if (outcome instanceof Error) throw outcome;
      return outcome;
    });
  }

  /** One phase at a time, each name once. A completed phase returns its recorded result. */
  private async phase<T>(name: string, work: (entered: InPhase) => Promise<T>): Promise<T> {
    const state = this.state;
    if (name === '') throw new Error('A phase needs a name.');
    if (state.is === 'in a phase')
      throw new Error(`The phase "${name}" began while "${state.name}" was running.`);
    if (state.is === 'past the last phase')
      throw new Error(`The phase "${name}" came after phases.finish().`);
    if (this.results.has(name)) return this.results.get(name) as T;
    if (this.failedRemote && this.failedRemote.name !== name) throw this.failedRemote.error;
    if (state.is === 'lease lost') throw this.loseLease();
    if (state.is === 'over') throw new Error(OVER);
    const entered: InPhase = { is: 'in a phase', name, hold: state.hold };
    this.state = entered;
    try {
      return await work(entered);
    } finally {
      const after = this.state as PhaseState; // the phase has changed it
      if (after.is === 'in a phase') this.state = { is: 'between phases', hold: after.hold };
    }
  }

  /** @throws Error where the request was given up, or answered, while its phase ran */
  private running(): InPhase {
    if (this.state.is !== 'in a phase') throw new Error(OVER);
    return this.state;
  }

  /** Opens the transaction of a phase: the one that holds the key's lock, or one that locks the row (R11). */
  private async openPhase(): Promise<OpenTransaction> {
    const { name, hold } = this.running();
    if (!hold) throw new Error('An earlier phase of this request failed.');
    const isFirst = 'lock' in hold;
    try {
      const { id, fence, isolation } = this.start.life;
      const transaction = isFirst ? hold.lock : await this.store.resume(id, fence, isolation);
      // The request may have been given up while this transaction was opened.
      if (this.state.is !== 'in a phase') await transaction.rollback();
      this.running();
      this.state = { is: 'in a phase', name, hold: isFirst ? undefined : hold, transaction };
      this.failure = undefined;
      return transaction;
    } catch (error) {
      throw this.translate(error);
    }
  }

  /** Commits a local phase: claims the key, or advances its row. */
  private async record(transaction: OpenTransaction, name: string, result: unknown): Promise<void> {
    const { life, deadlineMs, from } = this.start;
    const { id, fence, request } = life;
    const phases = this.results.toRow(name, result);
    const leaseMs = leaseMsFor(deadlineMs);
    const key = { id, fence, phases, leaseMs };
    const leaseEndsMs = performance.now() + leaseMs;
    const replaces = 'lock' in from ? from.replaces : undefined;
    if (isRow(this.running().hold)) await this.store.advance(transaction, key);
    else await this.store.claim(transaction, { ...key, request, replaces });
    this.results.add(name, result);
    if (this.state.is === 'in a phase') {
      this.state = { is: 'in a phase', name, hold: { leaseEndsMs } };
    }
  }

  /** What a failed phase means for the request. */
  private translate(error: unknown): unknown {
    if (error instanceof LeaseLostError || error instanceof KeyTakenError) {
      return this.loseLease();
    }
    // The claim or the phase's result may be stored or not; the next attempt reads which.
    return error instanceof CommitInDoubtError
      ? new IdempotencyOutcomeUnknownError({ cause: error })
      : error;
  }

  private loseLease(): LeaseLostError {
    if (this.state.is !== 'over') this.state = { is: 'lease lost' };
    return new LeaseLostError('Another attempt has taken this key over.');
  }
}
