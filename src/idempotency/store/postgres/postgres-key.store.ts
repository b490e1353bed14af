/**
 * store/postgres/: keys in PostgreSQL, and everything that knows TypeORM or pg. This is the adapter of the
 * port. It sends the SQL of `statements.ts` and returns what `rows.ts` makes of
 * the result.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { QueryConfig } from 'pg';
import type { DataSource } from 'typeorm';
import type { Isolation } from '../../contract/idempotency.options';
import type { DatabaseClock } from '../database-clock';
import type { Fence } from '../fence';
import type {
  AbandonedKey,
  AdvancedClaim,
  Backlog,
  CommitOutcome,
  FinishedClaim,
  FinishedKey,
  KeyId,
  KeyRow,
  KeyStore,
  NewClaim,
  NewFinishedKey,
  OpenedKey,
  PurgedBatch,
} from '../key.store';
import { KeyTakenError, LeaseLostError } from '../store.errors';
import { outsideTransaction, refuseDatabase } from './ambient-transaction';
import type { StatementResult } from './batch';
import { isConnectionLost, isWorthRepeating } from './database-errors';
import { FinishedKeyReads } from './finished-key-reads';
import { commitInsert, commitUpdate } from './key-commits';
import { PostgresTransaction } from './postgres-transaction';
import { isRaisedAndWorthRepeating } from './raised-errors';
import {
  type AbandonedRow,
  type BacklogRow,
  type LockRow,
  type Row,
  toAbandonedKey,
  toBacklog,
  toKeyRow,
} from './rows';
import {
  claimValues,
  fenceValues,
  finishedValues,
  INSERT_ALONE,
  keyValues,
  lockOf,
  named,
  SQL,
} from './statements';
import { toResponseColumns } from './stored-response';

/** Pauses between two tries to resolve a commit in doubt, ms: doubled from the first to the longest. */
const FIRST_PAUSE_MS = 20;
const MAX_PAUSE_MS = 250;

export class PostgresKeyStore implements KeyStore {
  readonly isWorthRepeating = isWorthRepeating;
  readonly hasRaised = isRaisedAndWorthRepeating;
  private readonly reads: FinishedKeyReads;

  /**
   * @param idleTimeoutMs after which PostgreSQL ends a transaction that sends no statement (R9)
   * @param clock receives each reading of the database's clock
   */
  constructor(
    private readonly dataSource: DataSource,
    private readonly idleTimeoutMs: number,
    private readonly clock: DatabaseClock,
  ) {
    this.reads = new FinishedKeyReads(dataSource, clock);
  }

  async begin(isolation?: Isolation): Promise<PostgresTransaction> {
    return (await this.beginFor(isolation, [])).transaction;
  }

  findFinished(id: KeyId): Promise<FinishedKey | undefined> {
    return this.reads.find(id);
  }

  async open(id: KeyId, isolation?: Isolation): Promise<OpenedKey> {
    const askedMs = performance.now();
    const { transaction, results } = await this.beginFor(isolation, [
      named('tryLock', [lockOf(id), String(this.idleTimeoutMs)]),
      named('read', keyValues(id)),
    ]);
    const [{ rows: lock }, { rows: read }] = results as [StatementResult, StatementResult];
    const [{ locked, now_ms: nowMs }] = lock as [LockRow];
    const [row] = read as [Row?];
    this.clock.recordReading(nowMs, askedMs);
    return { transaction, locked, row: row && toKeyRow(row), nowMs };
  }

  finishNew(tx: PostgresTransaction, key: NewFinishedKey): Promise<void> {
    const insert = named('insertFinished', finishedValues(key));
    return commitInsert(tx, key.id, insert, key.replaces);
  }

  async finishAlone(key: NewFinishedKey): Promise<void> {
    const rows = await outsideTransaction(() =>
      this.dataSource.query<unknown[]>(INSERT_ALONE, finishedValues(key)),
    );
    if (rows.length === 0) throw new KeyTakenError();
  }

  async claim(tx: PostgresTransaction, key: NewClaim): Promise<void> {
    await commitInsert(tx, key.id, named('insertClaim', claimValues(key)), key.replaces);
  }

  async takeOver(tx: PostgresTransaction, id: KeyId, from: Fence, leaseMs: number): Promise<Fence> {
    const [taken] = await tx.commit([named('takeOver', [...fenceValues(id, from), leaseMs])]);
    if (taken?.rowCount !== 1) throw new LeaseLostError();
    return { claimId: from.claimId, attempt: from.attempt + 1 };
  }

  async resume(id: KeyId, fence: Fence, isolation?: Isolation): Promise<PostgresTransaction> {
    const { transaction, results } = await this.beginFor(
      isolation,
      [
        named('lock', [lockOf(id), String(this.idleTimeoutMs)]),
        named('hold', fenceValues(id, fence)),
      ],
      true,
    );
    if (results[1]?.rowCount === 1) return transaction;
    await transaction.rollback();
    throw new LeaseLostError();
  }

  async advance(
    tx: PostgresTransaction,
    { id, fence, phases, leaseMs }: AdvancedClaim,
  ): Promise<void> {
    const values = [...fenceValues(id, fence), JSON.stringify(phases), leaseMs];
    await commitUpdate(tx, named('advance', values));
  }

  async finish(
    tx: PostgresTransaction,
    { id, fence, storedResponse, ttlSeconds }: FinishedClaim,
  ): Promise<void> {
    const values = [...fenceValues(id, fence), ...toResponseColumns(storedResponse), ttlSeconds];
    await commitUpdate(tx, named('finish', values));
  }

  async endLease(id: KeyId, fence: Fence): Promise<void> {
    await outsideTransaction(() => this.dataSource.query(SQL.endLease, fenceValues(id, fence)));
  }

  async read(id: KeyId): Promise<{ row?: KeyRow; running: boolean }> {
    // Sees who holds the lock without taking it: a status look-up must not stand in a client's way. And
    // asks before it reads the row: an owner that commits in between has left one.
    const [{ running }, row] = await outsideTransaction(async () => {
      const [lock] = await this.dataSource.query<[{ running: boolean }]>(SQL.isLocked, [
        lockOf(id),
      ]);
      const [found] = await this.dataSource.query<Row[]>(SQL.read, keyValues(id));
      return [lock, found && toKeyRow(found)] as const;
    });
    if (!row || row.expired) return { running };
    return { row, running: !row.storedResponse && !row.leaseExpired };
  }

  async resolveInDoubt(id: KeyId, fence: Fence, timeoutMs: number): Promise<CommitOutcome> {
    const startedMs = performance.now();
    for (let pauseMs = FIRST_PAUSE_MS; performance.now() - startedMs < timeoutMs; pauseMs *= 2) {
      try {
        const { transaction, locked, row } = await this.open(id);
        await transaction.rollback();
        const own = row?.claimId === fence.claimId && row.attempt === fence.attempt;
        if (own && row.storedResponse) return { outcome: 'committed', row };
        // The transaction in doubt held this lock. This one could take it, so that one is over.
        if (locked) return { outcome: 'rolled back', row };
      } catch (error) {
        if (!isConnectionLost(error)) throw error;
      }
      await pause(Math.min(pauseMs, MAX_PAUSE_MS));
    }
    return { outcome: 'undecided' };
  }

  async findAbandoned(limit: number): Promise<AbandonedKey[]> {
    const rows = await this.dataSource.query<AbandonedRow[]>(SQL.findAbandoned, [limit]);
    return rows.map(toAbandonedKey);
  }

  async postpone(id: KeyId, pauseMs: number, parkAfterSeconds: number) {
    const [rows] = await this.dataSource.query<[{ parked: boolean }[], number]>(SQL.postpone, [
      ...keyValues(id),
      pauseMs,
      parkAfterSeconds,
    ]);
    return rows[0] && (rows[0].parked ? 'parked' : 'postponed');
  }

  async backlog(): Promise<Backlog> {
    const [row] = await this.dataSource.query<[BacklogRow]>(SQL.backlog);
    return toBacklog(row);
  }

  async purge(limit: number): Promise<PurgedBatch> {
    // The commit is asynchronous: a purge that a crash loses is done again.
    const { transaction, results } = await PostgresTransaction.begin(
      this.dataSource,
      [named('asyncCommit', []), named('busy', []), named('purge', [limit])],
      { waiting: true },
    );
    await transaction.commit();
    const [, others, purged] = results as [StatementResult, StatementResult, StatementResult];
    const [{ busy }] = others.rows as [{ busy: number }];
    return { removed: purged.rowCount ?? 0, busy };
  }

  refuseDatabase<T>(message: string, work: () => T): T {
    return refuseDatabase(message, work);
  }

  outsideTransaction<T>(work: () => T): T {
    return outsideTransaction(work);
  }

  /**
   * Begins a transaction for a handler's work. Where its endpoint names no isolation level, the DataSource's is
   * taken, and else the server's.
   */
  private beginFor(isolation: Isolation | undefined, statements: QueryConfig[], waiting = false) {
    // TypeORM 0.3 has no such option.
    const { isolationLevel } = this.dataSource.options as { isolationLevel?: string };
    const own = isolationLevel === 'READ UNCOMMITTED' ? 'READ COMMITTED' : isolationLevel;
    return PostgresTransaction.begin(this.dataSource, statements, {
      waiting,
      isolation: isolation ?? (own as Isolation | undefined),
    });
  }
}
