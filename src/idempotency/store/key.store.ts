/** Where keys are kept: the port, one method per verb. `postgres-key.store.ts` is the one adapter. */
import type { Fingerprint } from '../request/fingerprint';
import { IdempotencyScopeMissingError } from '../contract/idempotency.errors';
import type { Answer, HttpRequest, ResolvedOptions, Scope } from '../contract/idempotency.options';
import type { RecordedRequest } from '../request/recorded-request';
import type { Transaction } from './postgres/transaction';

/** A key in its scope. */
export interface KeyId extends Required<Scope> {
  readonly key: string;
}

/** A key in its scope as one string. */
export const nameOf = ({ account, mode, key }: KeyId): string =>
  JSON.stringify([account, mode, key]);

/**
 * Who sent a request (R3).
 *
 * @throws IdempotencyScopeMissingError when authentication left no account on it
 */
export function scopeOf(request: HttpRequest, options: ResolvedOptions): Required<Scope> {
  const scope = options.scope(request);
  const { account, mode = '' } = typeof scope === 'object' ? scope : { account: scope };
  if (!account) throw new IdempotencyScopeMissingError();
  return { account, mode };
}

/** One life of a key and one execution within it: what every later write must still own (R11). */
export interface Fence {
  readonly claimId: string;
  readonly attempt: number;
}

/** What a row says of the request that made it. */
export interface StoredRequest {
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

/** A row as it was at one moment. Times are judged by the database's clock. */
export interface KeyRow extends Fence, Omit<StoredRequest, 'ttlSeconds' | 'recorded'> {
  /** The stored answer; nothing while unfinished. */
  readonly answer?: Answer;
  /** Finished and past its life (R5, R18). */
  readonly expired: boolean;
  /** Unfinished, and its owner has lost it (R11). */
  readonly leaseExpired: boolean;
  /** Results of past phases (R10). */
  readonly phases: Readonly<Record<string, unknown>>;
  /** Since the claim, ms. */
  readonly ageMs: number;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** What a replay needs of a finished life. It never changes. */
export interface FinishedKey extends Omit<StoredRequest, 'ttlSeconds' | 'recorded'> {
  readonly answer: Answer;
  /** When this life ends, or a moment before, by the database's clock, ms since 1970 (R18). */
  readonly expiresAtMs: number;
}

/** What opening a key finds: a transaction that holds its lock, or not, and its row. */
export interface OpenedKey {
  readonly transaction: Transaction;
  readonly locked: boolean;
  readonly row?: KeyRow;
  /**
   * When the transaction began, by the database's clock, ms since 1970: a life that begins in it is
   * counted from here.
   */
  readonly nowMs: number;
}

/** An unfinished key whose owner is gone. */
export interface AbandonedKey extends Fence {
  readonly id: KeyId;
  readonly originalRequest: string;
  readonly request: RecordedRequest;
}

/** What waits for the jobs. Ages by the database's clock, in seconds; 0 where nothing waits. */
export interface Backlog {
  /** Unfinished keys, running ones included. */
  readonly unfinished: number;
  /** Unfinished keys without an owner. */
  readonly abandoned: number;
  /** How long the one that has waited longest past its turn has done so. */
  readonly recoveryLagSeconds: number;
  /** Keys that recovery has given up. */
  readonly parked: number;
  /** How long the oldest expired key has been expired. */
  readonly purgeLagSeconds: number;
}

/** One batch of a purge. */
export interface PurgedBatch {
  readonly removed: number;
  /** Other sessions on the database that were in the middle of something. */
  readonly busy: number;
}

/** How a commit in doubt ended (R21). */
export interface Settlement {
  readonly outcome: 'committed' | 'rolled back' | 'undecided';
  readonly row?: KeyRow;
}

/** The fence did not hold: another attempt owns the key now (R11). */
export class Fenced extends Error {}

/** Another answer was stored first: the unique index has judged (R4). */
export class AnsweredByAnother extends Error {}

/**
 * Each method is one round trip. Errors of the database come through as they are, but for
 * `CommitInDoubt` and `CommitFailed` (transaction.ts), `Fenced` and `AnsweredByAnother`.
 */
export interface KeyStore {
  /** BEGIN alone: an operation without a key. */
  begin(): Promise<Transaction>;
  /**
   * The answer alone, if there is one and its life goes on: enough for a replay (R6). Looks of one turn
   * of the event loop share a round trip.
   */
  findFinished(id: KeyId): Promise<FinishedKey | undefined>;
  /** BEGIN, the key's try-lock and its row (R4). */
  open(id: KeyId): Promise<OpenedKey>;
  /** Stores a whole life at once, in place of an expired row, and commits (R9). */
  complete(
    tx: Transaction,
    id: KeyId,
    fence: Fence,
    request: StoredRequest,
    answer: Answer,
    replaces?: Fence,
  ): Promise<void>;
  /** Stores an answer whose handler was rolled back (R13), unless the key is taken meanwhile. */
  completeAlone(id: KeyId, fence: Fence, request: StoredRequest, answer: Answer): Promise<void>;
  /** Inserts an unfinished row with a lease and what the first phase left, and commits (R10). */
  claim(
    tx: Transaction,
    id: KeyId,
    fence: Fence,
    request: StoredRequest,
    phases: object,
    leaseMs: number,
    replaces?: Fence,
  ): Promise<void>;
  /** Raises the attempt of a row whose lease expired, and commits (R11). Never waits for a row. */
  takeOver(tx: Transaction, id: KeyId, from: Fence, leaseMs: number): Promise<Fence>;
  /** BEGIN for a later phase: holds the row against everybody else, or throws `Fenced` (R11). */
  resume(id: KeyId, fence: Fence): Promise<Transaction>;
  /** Records phases, sets the lease anew, and commits (R10). */
  advance(tx: Transaction, id: KeyId, fence: Fence, phases: object, leaseMs: number): Promise<void>;
  /** Stores the answer of a claimed row and commits (R10). */
  finish(
    tx: Transaction,
    id: KeyId,
    fence: Fence,
    answer: Answer,
    ttlSeconds: number,
  ): Promise<void>;
  /** Ends the lease, so that the next attempt may go on at once (R14). */
  endLease(id: KeyId, fence: Fence): Promise<void>;
  /** The row, and whether somebody is running (R20). */
  read(id: KeyId): Promise<{ row?: KeyRow; running: boolean }>;
  /** Finds out what became of a commit in doubt (R21); asks until `patienceMs` are over. */
  settle(id: KeyId, fence: Fence, patienceMs: number): Promise<Settlement>;
  /** Up to `limit` keys whose lease has expired and whose turn it is (R19). */
  findAbandoned(limit: number): Promise<AbandonedKey[]>;
  /**
   * Leaves a key that is still abandoned alone for `pauseMs`, or for good once it is older than
   * `parkAfterSeconds`. Nothing when it has finished or is running.
   */
  postpone(
    id: KeyId,
    pauseMs: number,
    parkAfterSeconds: number,
  ): Promise<'postponed' | 'parked' | undefined>;
  /** How far behind recovery and purge are. */
  backlog(): Promise<Backlog>;
  /** Removes up to `limit` finished, expired rows (R18). */
  purge(limit: number): Promise<PurgedBatch>;
}
/** Injection token; the interface shares its name. */
export const KeyStore = Symbol('KeyStore');
