/**
 * A phased operation (R10 to R12): local phases, each one transaction that also moves the recovery
 * point; remote phases, outside any transaction and with a key that is the same on every attempt;
 * and a last phase that commits together with the answer.
 */
import { createHash } from 'node:crypto';
import { type Attempt, fateOf, type HandlerEnd, rethrowOwn } from './attempt';
import { assertStorable, type OutgoingAnswer } from '../pipeline/pending-response';
import { IdempotencyError, IdempotencyOutcomeUnknownError } from '../contract/idempotency.errors';
import type { Answer } from '../contract/idempotency.options';
import {
  AnsweredByAnother,
  Fenced,
  type Fence,
  type KeyId,
  type KeyStore,
  type StoredRequest,
} from '../store/key.store';
import {
  CommitInDoubt,
  isWorthRepeating,
  refusingDatabase,
  type Transaction,
} from '../store/postgres/transaction';

/** Bounds of one remote phase. */
export interface RemoteOptions<T> {
  /** Longest wait for an answer, ms; at most the module's `remoteDeadlineMs`, its default. */
  readonly deadlineMs?: number;
  /** How long the far side remembers keys, ms since the claim. Past it nothing is repeated (R12). */
  readonly dedupeWindowMs?: number;
  /** Asks the far side what became of the key, once the window is over; nothing: not known. */
  readonly lookUp?: (remoteKey: string, signal: AbortSignal) => Promise<T | undefined>;
}

/** What a phased handler is given, as its `@Phases()` parameter. */
export interface Phases {
  /**
   * One transaction. On a later attempt it is not run again: its recorded result is handed back,
   * as JSON, on the first run too. The first local phase claims the key.
   *
   * @param name unique in the handler, and the same on every attempt
   */
  local<T>(name: string, work: () => Promise<T>): Promise<T>;
  /**
   * A call to something outside. Whatever `call` throws means that the outcome is not known (R12):
   * the client gets 503 and the next attempt repeats the same key. A refusal is a result, not an
   * error. The result is recorded by the next local phase.
   *
   * @throws IdempotencyOutcomeUnknownError when `call` threw or did not answer in time
   */
  remote<T>(
    name: string,
    call: (remoteKey: string, signal: AbortSignal) => Promise<T>,
    options?: RemoteOptions<T>,
  ): Promise<T>;
  /**
   * The last phase, `return phases.finish(…)`: committed together with the answer. An Error that
   * `work` returns is an outcome, such as a decline: its writes are committed and it is answered.
   * An Error that it throws undoes the phase.
   */
  finish<T>(work: () => Promise<T | Error>): Promise<T>;
}

/** What is left of the lease after the longest remote phase, ms (R11). */
const LEASE_MARGIN_MS = 5_000;

const OUTSIDE =
  'A phased operation may use the database only inside phases.local() and phases.finish(): ' +
  'outside of them nothing would stop a writer that has lost its key.';

/** How an attempt begins: on a free key, or on one whose owner is gone. */
export type Beginning =
  | { readonly opening: Transaction; readonly replaces?: Fence }
  | { readonly phases: Readonly<Record<string, unknown>>; readonly ageMs: number };

export class PhasedAttempt implements Attempt, Phases {
  readonly #leaseMs: number;
  readonly #born = performance.now();
  /** Age of the claim when this attempt began, ms. */
  readonly #ageMs: number;
  /** Results of phases that are past, by name. */
  readonly #results: Map<string, unknown>;
  readonly #replaces?: Fence;
  /** The transaction that decided, until the first phase takes it. */
  #opening?: Transaction;
  /** The transaction of the phase that is open. */
  #current?: Transaction;
  /** Whether the row is this attempt's. */
  #claimed: boolean;
  #leaseEnds = Infinity;
  #busy?: string;
  #finishing = false;
  #returned?: Error;
  #fenced = false;
  #abandoned = false;

  constructor(
    private readonly store: KeyStore,
    private readonly id: KeyId,
    readonly fence: Fence,
    private readonly request: StoredRequest,
    private readonly deadlineMs: number,
    beginning: Beginning,
  ) {
    this.#leaseMs = deadlineMs + LEASE_MARGIN_MS;
    this.#claimed = !('opening' in beginning);
    if ('opening' in beginning) {
      this.#opening = beginning.opening;
      this.#replaces = beginning.replaces;
      this.#results = new Map();
      this.#ageMs = 0;
    } else {
      this.#results = new Map(Object.entries(beginning.phases));
      this.#ageMs = beginning.ageMs;
      this.#leaseEnds = performance.now() + this.#leaseMs;
    }
  }

  /** How long a lease lasts, ms (R11). */
  static leaseMs(deadlineMs: number): number {
    return deadlineMs + LEASE_MARGIN_MS;
  }

  get originalRequest(): string {
    return this.request.originalRequest;
  }

  run<T>(work: () => T): T {
    return refusingDatabase(OUTSIDE, work);
  }

  local<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.phase(name, async () => {
      const transaction = await this.enter();
      try {
        const result = asJson(await transaction.run(work));
        const phases = Object.fromEntries([...this.#results, [name, result]]);
        await this.record(transaction, phases);
        return result;
      } catch (error) {
        throw await this.undo(transaction, error);
      }
    });
  }

  remote<T>(
    name: string,
    call: (remoteKey: string, signal: AbortSignal) => Promise<T>,
    options: RemoteOptions<T> = {},
  ): Promise<T> {
    const { deadlineMs = this.deadlineMs, dedupeWindowMs = Infinity, lookUp } = options;
    return this.phase(name, async () => {
      if (!this.#claimed) {
        throw new Error(`The remote phase "${name}" needs a local phase before it (R10).`);
      }
      if (deadlineMs > this.deadlineMs) {
        throw new Error(`The remote phase "${name}" may take ${this.deadlineMs} ms at most.`);
      }
      // No call may outlast the lease, nor what the far side remembers.
      const patienceMs = Math.min(deadlineMs, this.#leaseEnds - performance.now());
      if (patienceMs <= 0) throw this.fencedOff();
      const ageMs = this.#ageMs + performance.now() - this.#born;
      const repeat = ageMs + patienceMs < dedupeWindowMs;
      const ask = repeat ? call : lookUp;
      try {
        if (!ask) throw new Error(`The far side no longer remembers the key of "${name}".`);
        const result = await within(patienceMs, (signal) => ask(this.remoteKey(name), signal));
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
      const transaction = await this.enter();
      try {
        const outcome = await transaction.run(work);
        if (!(outcome instanceof Error)) return outcome;
        this.#returned = outcome;
      } catch (error) {
        throw await this.undo(transaction, error);
      }
      throw this.#returned;
    });
  }

  async seal(outgoing: OutgoingAnswer, end: HandlerEnd, kept: Answer): Promise<boolean> {
    if (this.#fenced) throw new Fenced();
    const fate = fateOf(outgoing.status, end, this.#returned);
    // Only a last phase that ended well is left open; everything else is undone before the answer.
    if (fate !== 'commit' || outgoing.unstorable) await this.rollBack();
    if (fate === 'undo') {
      if (this.#claimed) await this.store.endLease(this.id, this.fence).catch(() => undefined);
      this.rethrow(end.error);
      return false;
    }
    assertStorable(outgoing);
    await this.keep(fate === 'commit', kept);
    return true;
  }

  async abandon(): Promise<void> {
    // The lease is left to run out: a remote call may still be on its way.
    this.#abandoned = true;
    await this.rollBack();
  }

  /** Stores the answer: in the phase that is open, or in a transaction of its own. */
  private async keep(withWrites: boolean, answer: Answer): Promise<void> {
    const { store, id, fence, request } = this;
    if (this.#claimed) {
      await this.finishClaimed(answer);
    } else if (withWrites) {
      const transaction = this.#current ?? this.#opening;
      if (!transaction) throw new Error('The transaction of this request is already over.');
      await store.complete(transaction, id, fence, request, answer, this.#replaces);
    } else {
      await store.completeAlone(id, fence, request, answer);
    }
  }

  /** The row is there, so a failure leaves it for the next attempt, which may begin at once. */
  private async finishClaimed(answer: Answer): Promise<void> {
    const { store, id, fence, request } = this;
    try {
      const transaction = this.#current ?? (await store.resume(id, fence));
      await store.finish(transaction, id, fence, answer, request.ttlSeconds);
    } catch (error) {
      if (error instanceof Fenced || error instanceof CommitInDoubt) throw error;
      await store.endLease(id, fence).catch(() => undefined);
      throw new IdempotencyOutcomeUnknownError({ cause: error });
    }
  }

  /** One phase at a time, each name once; one that is past hands back its result. */
  private async phase<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new Error(`The phase "${name}" began while "${this.#busy}" was running.`);
    if (this.#finishing) throw new Error(`The phase "${name}" came after phases.finish().`);
    if (this.#results.has(name)) return this.#results.get(name) as T;
    this.#busy = name;
    try {
      const result = await work();
      if (!this.#finishing) this.#results.set(name, result);
      return result;
    } finally {
      this.#busy = undefined;
    }
  }

  /** The transaction of a phase: the one that decided, or a new one that holds the row (R11). */
  private async enter(): Promise<Transaction> {
    if (this.#abandoned) throw new Error('This request was given up.');
    const opening = this.#opening;
    this.#opening = undefined;
    if (!opening && !this.#claimed) throw new Error('An earlier phase of this request failed.');
    try {
      this.#current = opening ?? (await this.store.resume(this.id, this.fence));
      return this.#current;
    } catch (error) {
      throw this.translate(error);
    }
  }

  /** Commits a local phase: claims the key, or moves the recovery point. */
  private async record(transaction: Transaction, phases: object): Promise<void> {
    const { store, id, fence, request } = this;
    const leaseEnds = performance.now() + this.#leaseMs;
    this.#current = undefined;
    if (this.#claimed) await store.advance(transaction, id, fence, phases, this.#leaseMs);
    else await store.claim(transaction, id, fence, request, phases, this.#leaseMs, this.#replaces);
    this.#claimed = true;
    this.#leaseEnds = leaseEnds;
  }

  private async undo(transaction: Transaction, error: unknown): Promise<unknown> {
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
    if (error instanceof Fenced || error instanceof AnsweredByAnother) return this.fencedOff();
    // The claim or the recovery point may be there or not; the next attempt will see.
    if (error instanceof CommitInDoubt) return new IdempotencyOutcomeUnknownError({ cause: error });
    return error;
  }

  private fencedOff(): Fenced {
    this.#fenced = true;
    return new Fenced('Another attempt has taken this key over.');
  }

  private rethrow(error: unknown): void {
    if (this.#claimed && !(error instanceof IdempotencyError) && isWorthRepeating(error)) {
      throw new IdempotencyOutcomeUnknownError({ cause: error });
    }
    rethrowOwn(error);
  }

  /** The same on every attempt, so that the far side can tell a repeat (R10). */
  private remoteKey(name: string): string {
    return createHash('sha256').update(`${this.fence.claimId}\n${name}`).digest('hex').slice(0, 40);
  }
}

function asJson<T>(value: T): T {
  return value === undefined ? value : (JSON.parse(JSON.stringify(value)) as T);
}

/** Gives up, and says so to the call, after `deadlineMs`. */
async function within<T>(
  deadlineMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { signal } = controller;
  const timer = setTimeout(
    () => controller.abort(new Error(`No answer in ${deadlineMs} ms.`)),
    deadlineMs,
  );
  try {
    const overdue = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
    return await Promise.race([call(signal), overdue]);
  } finally {
    clearTimeout(timer);
  }
}
