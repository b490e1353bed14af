/**
 * A phased operation (R10 to R12). Local phases are transactions that also record how far the operation
 * has come. Remote phases run outside of any transaction, with a key that is the same on every attempt.
 * The last phase commits together with the response.
 */
import { createHash } from 'node:crypto';
import { IdempotencyError, IdempotencyOutcomeUnknownError } from '../contract/idempotency.errors';
import type { StoredResponse } from '../contract/idempotency.options';
import type { Phases, RemoteOptions } from '../contract/phases';
import type { Fence } from '../store/fence';
import type { KeyId, KeyStore, StoredRequest } from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { CommitInDoubtError, KeyAlreadyFinishedError, LeaseLostError } from '../store/store.errors';
import { type Attempt, type HandlerEnd, rethrowModuleError, transactionEndOf } from './attempt';
import { withDeadline } from './remote-deadline';
import { assertStorable, type OutgoingResponse } from './outgoing-response';

/** How much longer a lease lasts than the longest remote phase, ms (R11). */
const LEASE_MARGIN_MS = 5_000;

const REFUSAL =
  'A phased operation may use the database only inside phases.local() and phases.finish(): ' +
  'outside of them nothing would stop a writer that has lost its key.';

/** What a phased attempt is about. */
export interface PhasedStart {
  readonly id: KeyId;
  readonly fence: Fence;
  readonly request: StoredRequest;
  /** Longest duration of a remote phase, ms. */
  readonly deadlineMs: number;
  /** A free key, or one whose owner has lost it. */
  readonly from: FreeKey | TakenOverKey;
}

/** A key that no life holds; the transaction holds its lock. */
export interface FreeKey {
  readonly opening: OpenTransaction;
  /** The expired life that this one replaces (R5). */
  readonly replaces?: Fence;
}

/** What earlier attempts left. */
export interface TakenOverKey {
  /** Results of completed phases, by name. */
  readonly phases: Readonly<Record<string, unknown>>;
  /** Since the claim, ms. */
  readonly ageMs: number;
}

export class PhasedAttempt implements Attempt, Phases {
  readonly #id: KeyId;
  readonly #request: StoredRequest;
  readonly #deadlineMs: number;
  readonly #leaseMs: number;
  readonly #startedMs = performance.now();
  /** Age of the claim when this attempt began, ms. */
  readonly #ageMs: number;
  /** Results of completed phases, by name. */
  readonly #results: Map<string, unknown>;
  readonly #replaces?: Fence;
  /** The transaction in which the key was opened, until the first phase takes it. */
  #opening?: OpenTransaction;
  /** The transaction of the phase that is running, or of the finished last phase. */
  #current?: OpenTransaction;
  /** Whether the row is there and this attempt's. */
  #claimed: boolean;
  /** By `performance.now()`. */
  #leaseEndsMs = Infinity;
  #runningPhase?: string;
  #finishing = false;
  /** The error that the last phase returned as its outcome. */
  #returned?: Error;
  #leaseLost = false;
  #givenUp = false;
  readonly fence: Fence;

  constructor(
    private readonly store: KeyStore,
    { id, fence, request, deadlineMs, from }: PhasedStart,
  ) {
    this.#id = id;
    this.fence = fence;
    this.#request = request;
    this.#deadlineMs = deadlineMs;
    this.#leaseMs = PhasedAttempt.leaseMs(deadlineMs);
    this.#claimed = !('opening' in from);
    if ('opening' in from) {
      this.#opening = from.opening;
      this.#replaces = from.replaces;
      this.#results = new Map();
      this.#ageMs = 0;
    } else {
      this.#results = new Map(Object.entries(from.phases));
      this.#ageMs = from.ageMs;
      this.#leaseEndsMs = performance.now() + this.#leaseMs;
    }
  }

  /**
   * How long a lease lasts, ms (R11).
   *
   * @param deadlineMs longest duration of a remote phase
   */
  static leaseMs(deadlineMs: number): number {
    return deadlineMs + LEASE_MARGIN_MS;
  }

  get originalRequest(): string {
    return this.#request.originalRequest;
  }

  run<T>(work: () => T): T {
    return this.store.refuseDatabase(REFUSAL, work);
  }

  local<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.phase(name, async () => {
      const transaction = await this.beginPhase();
      try {
        const result = asJson(await transaction.run(work));
        const phases = Object.fromEntries([...this.#results, [name, result]]);
        await this.record(transaction, phases);
        return result;
      } catch (error) {
        throw await this.rollBackPhase(transaction, error);
      }
    });
  }

  remote<T>(
    name: string,
    call: (remoteKey: string, signal: AbortSignal) => Promise<T>,
    options: RemoteOptions<T> = {},
  ): Promise<T> {
    const { deadlineMs = this.#deadlineMs, dedupeWindowMs = Infinity, lookUp } = options;
    return this.phase(name, async () => {
      if (!this.#claimed) {
        throw new Error(`The remote phase "${name}" needs a local phase before it (R10).`);
      }
      if (deadlineMs > this.#deadlineMs) {
        throw new Error(`The remote phase "${name}" may take ${this.#deadlineMs} ms at most.`);
      }
      // No call may outlast the lease, nor the far side's memory of its key.
      const timeoutMs = Math.min(deadlineMs, this.#leaseEndsMs - performance.now());
      if (timeoutMs <= 0) throw this.loseLease();
      const ageMs = this.#ageMs + performance.now() - this.#startedMs;
      const repeat = ageMs + timeoutMs < dedupeWindowMs;
      const ask = repeat ? call : lookUp;
      try {
        if (!ask) throw new Error(`The far side no longer remembers the key of "${name}".`);
        const result = await withDeadline(timeoutMs, (signal) => ask(this.remoteKey(name), signal));
        if (!repeat && result === undefined) throw new Error(`Nothing is known of "${name}".`);
        return asJson(result as T);
      } catch (cause) {
        throw new IdempotencyOutcomeUnknownError({ cause });
      }
    });
  }

  finish<T>(work: () => Promise<T | Error>): Promise<T> {
    return this.phase('finish', async () => {
      this.#finishing = true;
      const transaction = await this.beginPhase();
      try {
        const outcome = await transaction.run(work);
        if (!(outcome instanceof Error)) return outcome;
        this.#returned = outcome;
      } catch (error) {
        throw await this.rollBackPhase(transaction, error);
      }
      throw this.#returned;
    });
  }

  async finishWith(
    outgoing: OutgoingResponse,
    handlerEnd: HandlerEnd,
    storedResponse: StoredResponse,
  ): Promise<boolean> {
    if (this.#leaseLost) throw new LeaseLostError();
    const end = transactionEndOf(outgoing.status, handlerEnd, this.#returned);
    // Only a last phase that succeeded stays open; everything else is rolled back before the response.
    if (end !== 'commit' || outgoing.unstorable) await this.rollBack();
    if (end === 'roll back') {
      if (this.#claimed) await this.store.endLease(this.#id, this.fence).catch(() => undefined);
      this.rethrow(handlerEnd.error);
      return false;
    }
    assertStorable(outgoing);
    if (this.#claimed) await this.finishHeldKey(storedResponse);
    else await this.finishUnclaimed(storedResponse, end);
    return true;
  }

  async giveUp(): Promise<void> {
    // The lease is not ended here: a remote call may still be on its way.
    this.#givenUp = true;
    await this.rollBack();
  }

  /** The key was not claimed by a local phase: its whole life is stored at once. */
  private async finishUnclaimed(
    storedResponse: StoredResponse,
    end: 'commit' | 'store response only',
  ): Promise<void> {
    const key = { id: this.#id, fence: this.fence, request: this.#request, storedResponse };
    if (end === 'store response only') return this.store.finishAlone(key);
    const transaction = this.#current ?? this.#opening;
    if (!transaction) throw new Error('The transaction of this request is already over.');
    await this.store.finishNew(transaction, { ...key, replaces: this.#replaces });
  }

  /** After a failure the row stays unfinished, for the next attempt, which may begin at once. */
  private async finishHeldKey(storedResponse: StoredResponse): Promise<void> {
    const { store, fence } = this;
    const id = this.#id;
    const { ttlSeconds } = this.#request;
    try {
      const transaction = this.#current ?? (await store.resume(id, fence));
      await store.finish(transaction, { id, fence, storedResponse, ttlSeconds });
    } catch (error) {
      if (error instanceof LeaseLostError || error instanceof CommitInDoubtError) throw error;
      await store.endLease(id, fence).catch(() => undefined);
      throw new IdempotencyOutcomeUnknownError({ cause: error });
    }
  }

  /** One phase at a time, each name once. A completed phase returns its recorded result. */
  private async phase<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#runningPhase)
      throw new Error(`The phase "${name}" began while "${this.#runningPhase}" was running.`);
    if (this.#finishing) throw new Error(`The phase "${name}" came after phases.finish().`);
    if (this.#results.has(name)) return this.#results.get(name) as T;
    this.#runningPhase = name;
    try {
      const result = await work();
      if (!this.#finishing) this.#results.set(name, result);
      return result;
    } finally {
      this.#runningPhase = undefined;
    }
  }

  /** The transaction of a phase: the one that opened the key, or a new one that locks the row (R11). */
  private async beginPhase(): Promise<OpenTransaction> {
    if (this.#givenUp) throw new Error('This request was given up.');
    const opening = this.#opening;
    this.#opening = undefined;
    if (!opening && !this.#claimed) throw new Error('An earlier phase of this request failed.');
    try {
      this.#current = opening ?? (await this.store.resume(this.#id, this.fence));
      return this.#current;
    } catch (error) {
      throw this.translate(error);
    }
  }

  /** Commits a local phase: claims the key, or advances its row. */
  private async record(transaction: OpenTransaction, phases: object): Promise<void> {
    const { store, fence } = this;
    const key = { id: this.#id, fence, phases, leaseMs: this.#leaseMs };
    const leaseEndsMs = performance.now() + this.#leaseMs;
    this.#current = undefined;
    if (this.#claimed) {
      await store.advance(transaction, key);
    } else {
      const request = this.#request;
      await store.claim(transaction, { ...key, request, replaces: this.#replaces });
    }
    this.#claimed = true;
    this.#leaseEndsMs = leaseEndsMs;
  }

  /** @returns what to throw for the phase */
  private async rollBackPhase(transaction: OpenTransaction, error: unknown): Promise<unknown> {
    this.#current = undefined;
    await transaction.rollback();
    return this.translate(error);
  }

  private async rollBack(): Promise<void> {
    const open = [this.#opening, this.#current];
    this.#opening = undefined;
    this.#current = undefined;
    for (const transaction of open) await transaction?.rollback();
  }

  /** What a failed phase means for the request. */
  private translate(error: unknown): unknown {
    if (error instanceof LeaseLostError || error instanceof KeyAlreadyFinishedError) {
      return this.loseLease();
    }
    // The claim or the phase's result may be stored or not; the next attempt reads which.
    if (error instanceof CommitInDoubtError)
      return new IdempotencyOutcomeUnknownError({ cause: error });
    return error;
  }

  private loseLease(): LeaseLostError {
    this.#leaseLost = true;
    return new LeaseLostError('Another attempt has taken this key over.');
  }

  private rethrow(error: unknown): void {
    if (
      this.#claimed &&
      !(error instanceof IdempotencyError) &&
      this.store.isWorthRepeating(error)
    ) {
      throw new IdempotencyOutcomeUnknownError({ cause: error });
    }
    rethrowModuleError(error, this.store);
  }

  /** The same on every attempt, so that the far side recognises a repeat (R10). */
  private remoteKey(name: string): string {
    return createHash('sha256').update(`${this.fence.claimId}\n${name}`).digest('hex').slice(0, 40);
  }
}

function asJson<T>(value: T): T {
  return value === undefined ? value : (JSON.parse(JSON.stringify(value)) as T);
}
