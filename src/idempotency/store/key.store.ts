/**
 * store/: where keys are kept. This is the port: one method a verb, in the words of the protocol. It
 * knows no database; its one adapter is in postgres/, which the module alone imports. Beside it stand
 * the fence, an open transaction, the errors of a write and what is known of the database's clock.
 */
import type { IdempotencyScope, Isolation, StoredResponse } from '../contract/idempotency.options';
import type { Fingerprint } from '../request/fingerprint';
import type { RecordedRequest } from '../request/recorded-request';
import type { Fence } from './fence';
import type { OpenTransaction } from './open-transaction';

/** A key in its scope. */
export interface KeyId extends Required<IdempotencyScope> {
  readonly key: string;
}

/** A key in its scope as one string. */
export const keyNameOf = ({ account, mode, key }: KeyId): string =>
  JSON.stringify([account, mode, key]);

/** What a row says of the request that made it. */
export interface StoredRequest {
  /** HTTP method and route template. */
  readonly operation: string;
  readonly fingerprint: Fingerprint;
  /** Digests by which a reuse names what differs, as JSON (R7). */
  readonly parameters: string;
  /** Id of the request that ran first (R17). */
  readonly originalRequest: string;
  /** Life of the key, in seconds from the claim (R18). */
  readonly ttlSeconds: number;
  /** Of a phased operation: the request to send again should its owner crash (R19). */
  readonly recorded?: RecordedRequest;
}

/** A row as it was at one moment. The database's clock decides what has expired. */
export interface KeyRow extends Fence, Omit<StoredRequest, 'ttlSeconds' | 'recorded'> {
  /** Nothing while unfinished. */
  readonly storedResponse?: StoredResponse;
  /** Finished and past its life (R5, R18). */
  readonly expired: boolean;
  /** Unfinished, and its owner's lease is over (R11). */
  readonly leaseExpired: boolean;
  /** Results of completed phases, by name (R10). */
  readonly phases: Readonly<Record<string, unknown>>;
  /** Since the claim, ms. */
  readonly ageMs: number;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** What a replay needs of a finished life. It never changes. */
export interface FinishedKey extends Omit<StoredRequest, 'ttlSeconds' | 'recorded'> {
  readonly storedResponse: StoredResponse;
  /**
   * When this life ends, or up to a millisecond earlier, by the database's clock, ms since 1970 (R18).
   */
  readonly expiresAtMs: number;
}

/** What a replay needs of a row; nothing while it is unfinished. */
export function finishedKeyOf(row: KeyRow): FinishedKey | undefined {
  const { operation, fingerprint, parameters, originalRequest, storedResponse, expiresAt } = row;
  if (!storedResponse) return undefined;
  const expiresAtMs = expiresAt.getTime();
  return { operation, fingerprint, parameters, originalRequest, storedResponse, expiresAtMs };
}

/** An open transaction, whether it holds the key's lock, and the key's row. */
export interface OpenedKey {
  readonly transaction: OpenTransaction;
  readonly locked: boolean;
  readonly row?: KeyRow;
  /**
   * When the transaction began, by the database's clock, ms since 1970. A life that begins in it is
   * counted from here.
   */
  readonly nowMs: number;
}

/** A finished life that is to be inserted whole. */
export interface NewFinishedKey {
  readonly id: KeyId;
  readonly fence: Fence;
  readonly request: StoredRequest;
  readonly storedResponse: StoredResponse;
  /** The expired life that it replaces. */
  readonly replaces?: Fence;
}

/** An unfinished life that is to be inserted. */
export interface NewClaim {
  readonly id: KeyId;
  readonly fence: Fence;
  readonly request: StoredRequest;
  /** Results of phases, by name. */
  readonly phases: object;
  readonly leaseMs: number;
  /** The expired life that it replaces. */
  readonly replaces?: Fence;
}

/** A step of an unfinished life. */
export interface AdvancedClaim {
  readonly id: KeyId;
  readonly fence: Fence;
  /** Results of all phases so far, by name. */
  readonly phases: object;
  readonly leaseMs: number;
}

/** The end of an unfinished life. */
export interface FinishedClaim {
  readonly id: KeyId;
  readonly fence: Fence;
  readonly storedResponse: StoredResponse;
  /** Life of a key that was taken over, in seconds from now. */
  readonly ttlSeconds: number;
}

/** An unfinished key whose owner is gone. */
export interface AbandonedKey extends Fence {
  readonly id: KeyId;
  readonly originalRequest: string;
  readonly request: RecordedRequest;
}

/** What the jobs have yet to do. Ages by the database's clock, in seconds; 0 where nothing is due. */
export interface Backlog {
  /** Unfinished keys, running ones included. */
  readonly unfinished: number;
  /** Unfinished keys without an owner. */
  readonly abandoned: number;
  /** How long the key that is most overdue for recovery has been due. */
  readonly recoveryLagSeconds: number;
  /** Parked keys: recovery no longer sends them. */
  readonly parked: number;
  /** How long the oldest expired key has been expired. */
  readonly purgeLagSeconds: number;
}

/** One batch of a purge. */
export interface PurgedBatch {
  /** Rows removed. */
  readonly removed: number;
  /** Other sessions of this database that were not idle. */
  readonly busy: number;
}

/** How a commit in doubt ended (R21). */
export interface CommitOutcome {
  readonly outcome: 'committed' | 'rolled back' | 'undecided';
  readonly row?: KeyRow;
}

/**
 * What a request does with its key is one round trip each: `begin`, `open`, `claim`, `resume`, `advance`,
 * `takeOver` and every `finish…`. `read` and `purge` are two, as is a `resume` whose lease is lost;
 * `resolveInDoubt` asks repeatedly, and the last four methods ask nothing. A method that commits throws the
 * errors of `store.errors.ts`; other errors of the database come through as they are.
 */
export abstract class KeyStore {
  /** BEGIN alone: an operation without a key. */
  abstract begin(isolation?: Isolation): Promise<OpenTransaction>;
  /**
   * The stored response of a key that has not expired: enough for a replay (R6). Reads of one turn of the
   * event loop share a round trip.
   */
  abstract findFinished(id: KeyId): Promise<FinishedKey | undefined>;
  /** BEGIN, the key's try-lock and its row (R4). */
  abstract open(id: KeyId, isolation?: Isolation): Promise<OpenedKey>;
  /** Inserts a finished row and commits, together with the handler's writes (R9). */
  abstract finishNew(tx: OpenTransaction, key: NewFinishedKey): Promise<void>;
  /**
   * Inserts a finished row in a transaction of its own, after the handler was rolled back (R13).
   *
   * @throws KeyTakenError when the key has been taken meanwhile
   */
  abstract finishAlone(key: NewFinishedKey): Promise<void>;
  /** Inserts an unfinished row with a lease and the first phase's result, and commits (R10). */
  abstract claim(tx: OpenTransaction, key: NewClaim): Promise<void>;
  /** Raises the attempt of a row whose lease expired, and commits (R11). Never waits for a row. */
  abstract takeOver(tx: OpenTransaction, id: KeyId, from: Fence, leaseMs: number): Promise<Fence>;
  /**
   * BEGIN for a later phase: locks the row against everybody else.
   *
   * @throws LeaseLostError when another attempt owns the row (R11)
   */
  abstract resume(id: KeyId, fence: Fence, isolation?: Isolation): Promise<OpenTransaction>;
  /** Records phases, renews the lease, and commits (R10). */
  abstract advance(tx: OpenTransaction, claim: AdvancedClaim): Promise<void>;
  /** Stores the response of an unfinished row, and commits (R10). */
  abstract finish(tx: OpenTransaction, claim: FinishedClaim): Promise<void>;
  /** Ends the lease, so that the next attempt may begin at once (R14). */
  abstract endLease(id: KeyId, fence: Fence): Promise<void>;
  /** The row, and whether an attempt is running (R20). */
  abstract read(id: KeyId): Promise<{ row?: KeyRow; running: boolean }>;
  /** Finds out how a commit in doubt ended (R21); asks until `timeoutMs` are over. */
  abstract resolveInDoubt(id: KeyId, fence: Fence, timeoutMs: number): Promise<CommitOutcome>;
  /** Up to `limit` keys whose lease has expired and which are due (R19). */
  abstract findAbandoned(limit: number): Promise<AbandonedKey[]>;
  /**
   * Makes a key that is still abandoned due again in `pauseMs`, or parks it once it is older than
   * `parkAfterSeconds`.
   *
   * @returns nothing when the key has finished or is running
   */
  abstract postpone(
    id: KeyId,
    pauseMs: number,
    parkAfterSeconds: number,
  ): Promise<'postponed' | 'parked' | undefined>;
  /** How far behind recovery and purge are. */
  abstract backlog(): Promise<Backlog>;
  /** Removes up to `limit` finished, expired rows (R18). */
  abstract purge(limit: number): Promise<PurgedBatch>;
  /** Runs `work` so that all its database access throws an Error with this message (R11). */
  abstract refuseDatabase<T>(message: string, work: () => T): T;
  /** Takes `work` out of the transaction or the refusal around it: its database access commits on its own. */
  abstract outsideTransaction<T>(work: () => T): T;
  /** Whether an error of this store means that the same work may well succeed when it is done again. */
  abstract isWorthRepeating(error: unknown): boolean;
  /**
   * Whether the error of a handler is or holds such an error, raised by the application's own database access.
   * Errors are known as objects: words that look like the database's do not count (R13a).
   */
  abstract hasRaised(error: unknown): boolean;
}
