/** Keys in PostgreSQL: one statement per verb. Every time is the database's (R5). */
import { hash, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { DatabaseError, QueryConfig } from 'pg';
import type { DataSource } from 'typeorm';
import type { Answered } from './batch';
import type { DatabaseClock } from '../database-clock';
import type { Answer } from '../../contract/idempotency.options';
import {
  type AbandonedKey,
  AnsweredByAnother,
  type Backlog,
  Fenced,
  type Fence,
  type FinishedKey,
  type KeyId,
  type KeyRow,
  type KeyStore,
  nameOf,
  type OpenedKey,
  type PurgedBatch,
  type Settlement,
  type StoredRequest,
} from '../key.store';
import type { RecordedRequest } from '../../request/recorded-request';
import {
  ask,
  CommitFailed,
  isConnectionLost,
  outsideTransaction,
  Transaction,
} from './transaction';

const COLUMNS = `claim_id, attempt, operation, fingerprint, fingerprint_version,
  parameters::text AS parameters, original_request, phases, status, headers, body, deflated,
  created_at, expires_at, status IS NOT NULL AND expires_at <= now() AS expired,
  status IS NULL AND lease_until <= now() AS lease_expired,
  (extract(epoch FROM now() - created_at) * 1000)::float8 AS age_ms`;
const NOW_MS = '(extract(epoch FROM now()) * 1000)::float8 AS now_ms';
const THIS_KEY = 'account = $1 AND mode = $2 AND key = $3';
// From now, not from the transaction's start: a long local phase must not eat its own lease.
const LEASE = (ms: string) => `clock_timestamp() + ${ms}::int * interval '1 millisecond'`;
// A life that has nearly passed while its owner worked: the answer must still meet its client.
const A_MOMENT = `clock_timestamp() + interval '45 seconds'`;
// A check that travels with COMMIT must raise where it does not hold: an UPDATE of no rows would let
// the COMMIT through. Here a foreign fence becomes NULL in a column that refuses it (R11).
const FENCED = 'claim_id = CASE WHEN claim_id = $4 AND attempt = $5 THEN claim_id END';

const SQL = {
  // set_config rides along: a frozen owner's transaction ends by itself, and frees the key (R9).
  tryLock: `SELECT pg_try_advisory_xact_lock($1::bigint) AS locked, ${NOW_MS},
    set_config('idle_in_transaction_session_timeout', $2, true)`,
  lock: `SELECT pg_advisory_xact_lock($1::bigint),
    set_config('idle_in_transaction_session_timeout', $2, true)`,
  isLocked: `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = (($1::bigint >> 32) & 4294967295)::oid
      AND objid = ($1::bigint & 4294967295)::oid) AS running`,
  find: `SELECT operation, fingerprint, fingerprint_version, parameters::text AS parameters,
      original_request, status, headers, body, deflated, ${NOW_MS},
      (extract(epoch FROM expires_at) * 1000)::float8 AS expires_at_ms
    FROM idempotency_keys WHERE ${THIS_KEY} AND status IS NOT NULL AND expires_at > now()`,
  read: `SELECT ${COLUMNS} FROM idempotency_keys WHERE ${THIS_KEY}`,
  hold: `SELECT 1 FROM idempotency_keys
    WHERE ${THIS_KEY} AND claim_id = $4 AND attempt = $5 AND status IS NULL FOR UPDATE`,
  remove: `DELETE FROM idempotency_keys WHERE ${THIS_KEY} AND claim_id = $4 AND attempt = $5`,
  insertFinished: `INSERT INTO idempotency_keys (account, mode, key, claim_id, attempt, operation,
      fingerprint, fingerprint_version, parameters, original_request, status, headers, body,
      deflated, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
      now(), greatest(now() + $15::int * interval '1 second', ${A_MOMENT}))`,
  insertClaim: `INSERT INTO idempotency_keys (account, mode, key, claim_id, attempt, operation,
      fingerprint, fingerprint_version, parameters, original_request, created_at, expires_at,
      phases, lease_until, request)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
      now(), now() + $11::int * interval '1 second', $12, ${LEASE('$13')}, $14)`,
  takeOver: `UPDATE idempotency_keys SET attempt = attempt + 1, lease_until = ${LEASE('$6')}
    WHERE ${THIS_KEY} AND claim_id = $4 AND attempt = $5 AND lease_until <= now()`,
  advance: `UPDATE idempotency_keys SET ${FENCED}, phases = $6, lease_until = ${LEASE('$7')}
    WHERE ${THIS_KEY}`,
  // A key that was taken over lives at least its full life from the finish (R18).
  finish: `UPDATE idempotency_keys SET ${FENCED}, status = $6, headers = $7, body = $8,
      deflated = $9, phases = NULL, lease_until = NULL, request = NULL, retry_at = NULL,
      parked_at = NULL,
      expires_at = greatest(expires_at, CASE WHEN attempt = 1 THEN ${A_MOMENT}
        ELSE now() + $10::int * interval '1 second' END)
    WHERE ${THIS_KEY}`,
  endLease: `UPDATE idempotency_keys SET lease_until = now()
    WHERE ${THIS_KEY} AND claim_id = $4 AND attempt = $5 AND status IS NULL`,
  findAbandoned: `SELECT account, mode, key, claim_id, attempt, original_request, request
    FROM idempotency_keys
    WHERE lease_until IS NOT NULL AND lease_until <= now() AND parked_at IS NULL
      AND (retry_at IS NULL OR retry_at <= now())
    ORDER BY lease_until LIMIT $1`,
  postpone: `UPDATE idempotency_keys SET retry_at = now() + $4::int * interval '1 millisecond',
      parked_at = CASE WHEN created_at + $5::int * interval '1 second' <= now() THEN now() END
    WHERE ${THIS_KEY} AND lease_until <= now() RETURNING parked_at IS NOT NULL AS parked`,
  backlog: `SELECT count(*)::int AS unfinished,
      (count(*) FILTER (WHERE lease_until <= now()))::int AS abandoned,
      (count(*) FILTER (WHERE parked_at IS NOT NULL))::int AS parked,
      coalesce(extract(epoch FROM now() - min(greatest(lease_until, retry_at))
        FILTER (WHERE parked_at IS NULL)), 0)::float8 AS recovery_lag,
      (SELECT coalesce(extract(epoch FROM now() - min(expires_at)), 0)::float8
        FROM idempotency_keys WHERE expires_at <= now() AND status IS NOT NULL) AS purge_lag
    FROM idempotency_keys WHERE lease_until IS NOT NULL`,
  leaveDisk: 'SET LOCAL synchronous_commit = off',
  busy: `SELECT count(*)::int AS busy FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND state <> 'idle'
      AND pid <> pg_backend_pid()`,
  // By ctid: the rows are locked, so they stay where they are. It costs half of finding them again by
  // their key.
  purge: `DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
      SELECT ctid FROM idempotency_keys
      WHERE expires_at <= now() AND status IS NOT NULL
      ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`,
};
// An expired, finished row is replaced. Times pass through excluded.*: some sharded PostgreSQLs
// refuse now() in ON CONFLICT.
const INSERT_ALONE = `${SQL.insertFinished}
  ON CONFLICT (account, mode, key) DO UPDATE SET claim_id = excluded.claim_id,
    attempt = excluded.attempt, operation = excluded.operation, fingerprint = excluded.fingerprint,
    fingerprint_version = excluded.fingerprint_version, parameters = excluded.parameters,
    original_request = excluded.original_request, phases = NULL, status = excluded.status,
    headers = excluded.headers, body = excluded.body, deflated = excluded.deflated,
    created_at = excluded.created_at, expires_at = excluded.expires_at, lease_until = NULL
  WHERE idempotency_keys.status IS NOT NULL
    AND idempotency_keys.expires_at <= excluded.created_at
  RETURNING 1`;

/** A named statement: parsed once on each connection. */
const named = (name: keyof typeof SQL, values: unknown[]): QueryConfig => ({
  name: `paidonce_${name}`,
  text: SQL[name],
  values,
});

/** More looks than this go in several packets, to several connections: each one waits for all before it. */
const MOST_TOGETHER = 16;

/** The first fence of a new life. */
export const newFence = (): Fence => ({ claimId: randomUUID(), attempt: 1 });

export class PostgresKeyStore implements KeyStore {
  /**
   * @param idleTimeoutMs after which PostgreSQL ends a transaction that does nothing (R9)
   * @param clock hears what the database's clock says
   */
  constructor(
    private readonly dataSource: DataSource,
    private readonly idleTimeoutMs: number,
    private readonly clock: DatabaseClock,
  ) {}

  /** Looks of one turn of the event loop: they share a packet, which halves what each costs. */
  #sought: Sought[] = [];

  async begin(): Promise<Transaction> {
    return (await Transaction.begin(this.dataSource, [])).transaction;
  }

  findFinished(id: KeyId): Promise<FinishedKey | undefined> {
    return new Promise((resolve, reject) => {
      const waiting = this.#sought.push({ id, resolve, reject });
      if (waiting === 1) setImmediate(() => this.findSought());
    });
  }

  async open(id: KeyId): Promise<OpenedKey> {
    const askedMs = performance.now();
    const { transaction, results } = await Transaction.begin(this.dataSource, [
      named('tryLock', [lockOf(id), String(this.idleTimeoutMs)]),
      named('read', keyOf(id)),
    ]);
    const [{ rows: lock }, { rows: read }] = results as [Answered, Answered];
    const [{ locked, now_ms: nowMs }] = lock as [Lock];
    const [row] = read as [Row?];
    this.clock.heard(nowMs, askedMs);
    return { transaction, locked, row: row && toKeyRow(row), nowMs };
  }

  complete(
    tx: Transaction,
    id: KeyId,
    fence: Fence,
    request: StoredRequest,
    answer: Answer,
    replaces?: Fence,
  ): Promise<void> {
    const insert = named('insertFinished', finished(id, fence, request, answer));
    return this.commitInsert(tx, id, insert, replaces);
  }

  async completeAlone(
    id: KeyId,
    fence: Fence,
    request: StoredRequest,
    answer: Answer,
  ): Promise<void> {
    const rows = await outsideTransaction(() =>
      this.dataSource.query<unknown[]>(INSERT_ALONE, finished(id, fence, request, answer)),
    );
    if (rows.length === 0) throw new AnsweredByAnother();
  }

  async claim(
    tx: Transaction,
    id: KeyId,
    fence: Fence,
    request: StoredRequest,
    phases: object,
    leaseMs: number,
    replaces?: Fence,
  ): Promise<void> {
    const values = [
      ...requested(id, fence, request),
      request.ttlSeconds,
      JSON.stringify(phases),
      leaseMs,
      JSON.stringify(request.recorded),
    ];
    await this.commitInsert(tx, id, named('insertClaim', values), replaces);
  }

  async takeOver(tx: Transaction, id: KeyId, from: Fence, leaseMs: number): Promise<Fence> {
    const [taken] = await tx.commit([named('takeOver', [...fencedKeyOf(id, from), leaseMs])]);
    if (taken?.rowCount !== 1) throw new Fenced();
    return { claimId: from.claimId, attempt: from.attempt + 1 };
  }

  async resume(id: KeyId, fence: Fence): Promise<Transaction> {
    const { transaction, results } = await Transaction.begin(
      this.dataSource,
      [
        named('lock', [lockOf(id), String(this.idleTimeoutMs)]),
        named('hold', fencedKeyOf(id, fence)),
      ],
      true,
    );
    if (results[1]?.rowCount === 1) return transaction;
    await transaction.rollback();
    throw new Fenced();
  }

  async advance(
    tx: Transaction,
    id: KeyId,
    fence: Fence,
    phases: object,
    leaseMs: number,
  ): Promise<void> {
    const values = [...fencedKeyOf(id, fence), JSON.stringify(phases), leaseMs];
    await this.commitFenced(tx, named('advance', values));
  }

  async finish(
    tx: Transaction,
    id: KeyId,
    fence: Fence,
    answer: Answer,
    ttlSeconds: number,
  ): Promise<void> {
    const values = [...fencedKeyOf(id, fence), ...answered(answer), ttlSeconds];
    await this.commitFenced(tx, named('finish', values));
  }

  async endLease(id: KeyId, fence: Fence): Promise<void> {
    await outsideTransaction(() => this.dataSource.query(SQL.endLease, fencedKeyOf(id, fence)));
  }

  async read(id: KeyId): Promise<{ row?: KeyRow; running: boolean }> {
    // Looks who holds the lock without taking it: whoever only asks must not be in a client's way. And
    // before it looks for the row: an owner that commits in between has left one.
    const [{ running }, row] = await outsideTransaction(async () => {
      const [lock] = await this.dataSource.query<[{ running: boolean }]>(SQL.isLocked, [
        lockOf(id),
      ]);
      const [found] = await this.dataSource.query<Row[]>(SQL.read, keyOf(id));
      return [lock, found && toKeyRow(found)] as const;
    });
    if (!row || row.expired) return { running };
    return { row, running: !row.answer && !row.leaseExpired };
  }

  async settle(id: KeyId, fence: Fence, patienceMs: number): Promise<Settlement> {
    const started = performance.now();
    for (let waitMs = 20; performance.now() - started < patienceMs; waitMs *= 2) {
      try {
        const { transaction, locked, row } = await this.open(id);
        await transaction.rollback();
        const ours = row?.claimId === fence.claimId && row.attempt === fence.attempt;
        if (ours && row.answer) return { outcome: 'committed', row };
        // Holding the lock that the transaction in doubt held, we know that it is over.
        if (locked) return { outcome: 'rolled back', row };
      } catch (error) {
        if (!isConnectionLost(error)) throw error;
      }
      await pause(Math.min(waitMs, 250));
    }
    return { outcome: 'undecided' };
  }

  async findAbandoned(limit: number): Promise<AbandonedKey[]> {
    const rows = await this.dataSource.query<
      (KeyId &
        Pick<Row, 'claim_id' | 'attempt' | 'original_request'> & { request: RecordedRequest })[]
    >(SQL.findAbandoned, [limit]);
    return rows.map(({ account, mode, key, claim_id, attempt, original_request, request }) => ({
      id: { account, mode, key },
      claimId: claim_id,
      attempt,
      originalRequest: original_request,
      request,
    }));
  }

  async postpone(id: KeyId, pauseMs: number, parkAfterSeconds: number) {
    const [rows] = await this.dataSource.query<[{ parked: boolean }[], number]>(SQL.postpone, [
      ...keyOf(id),
      pauseMs,
      parkAfterSeconds,
    ]);
    return rows[0] && (rows[0].parked ? 'parked' : 'postponed');
  }

  async backlog(): Promise<Backlog> {
    const [row] = await this.dataSource.query<BacklogRow[]>(SQL.backlog);
    const {
      unfinished = 0,
      abandoned = 0,
      parked = 0,
      recovery_lag = 0,
      purge_lag = 0,
    } = row ?? {};
    const recoveryLagSeconds = Math.max(0, recovery_lag);
    return { unfinished, abandoned, parked, recoveryLagSeconds, purgeLagSeconds: purge_lag };
  }

  async purge(limit: number): Promise<PurgedBatch> {
    // Nobody waits for it to be on disk: after a crash it is done again.
    const { transaction, results } = await Transaction.begin(
      this.dataSource,
      [named('leaveDisk', []), named('busy', []), named('purge', [limit])],
      true,
    );
    await transaction.commit();
    const [, others, purged] = results as [Answered, Answered, Answered];
    const [{ busy }] = others.rows as [{ busy: number }];
    return { removed: purged.rowCount ?? 0, busy };
  }

  private findSought(): void {
    const sought = this.#sought;
    this.#sought = [];
    for (let at = 0; at < sought.length; at += MOST_TOGETHER) {
      void this.findTogether(sought.slice(at, at + MOST_TOGETHER));
    }
  }

  private async findTogether(sought: Sought[]): Promise<void> {
    const askedMs = performance.now();
    try {
      const statements = sought.map(({ id }) => named('find', keyOf(id)));
      const answers = await ask(this.dataSource, statements);
      const found = answers.map(({ rows }) => {
        const [row] = rows as [FoundRow?];
        if (row) this.clock.heard(row.now_ms, askedMs);
        return row && foundOf(row);
      });
      sought.forEach(({ resolve }, at) => resolve(found[at]));
    } catch (error) {
      // One of them may be at fault: then the others must not pay for it.
      if (sought.length > 1 && !isConnectionLost(error)) {
        for (const one of sought) void this.findTogether([one]);
      } else {
        for (const { reject } of sought) reject(error);
      }
    }
  }

  /** Updates and commits, unless the row is no longer this attempt's (R11). */
  private async commitFenced(tx: Transaction, update: QueryConfig): Promise<void> {
    try {
      const [updated] = await tx.commit([update]);
      // `resume` holds the row, so it cannot be gone; were it, nothing may claim to be stored.
      if (updated?.rowCount !== 1) throw new Fenced();
    } catch (error) {
      const { code, column } = ((error as Error).cause ?? {}) as DatabaseError;
      if (code === '23502' && column === 'claim_id') throw new Fenced();
      throw error;
    }
  }

  /** Inserts and commits; a row that was there first is the judge (R4). */
  private async commitInsert(
    tx: Transaction,
    id: KeyId,
    insert: QueryConfig,
    replaces?: Fence,
  ): Promise<void> {
    const remove = replaces ? [named('remove', fencedKeyOf(id, replaces))] : [];
    try {
      await tx.commit([...remove, insert]);
    } catch (error) {
      const { code, constraint } = ((error as Error).cause ?? {}) as DatabaseError;
      const taken = code === '23505' && constraint === 'idempotency_keys_pkey';
      if (error instanceof CommitFailed && taken) throw new AnsweredByAnother();
      throw error;
    }
  }
}

/** The advisory lock of a key: the first eight bytes of SHA-256(scope, key) (R4). */
function lockOf(id: KeyId): string {
  const digest = hash('sha256', nameOf(id));
  return BigInt.asIntN(64, BigInt(`0x${digest.slice(0, 16)}`)).toString();
}

/** Bodies of this size are deflated, bytes: smaller ones gain little, larger ones PostgreSQL deflates. */
const DEFLATED_FROM = 1_024;
const DEFLATED_TO = 65_536;
/** If that leaves less of them than this: a payment's 1,170 bytes become 527 in 12 µs. */
const WORTH_IT = 0.75;

/** What nearly every answer has, and nothing else: such a row keeps no headers. */
const USUAL_TYPE = 'application/json; charset=utf-8';
const USUAL_HEADERS = Object.freeze({ 'content-type': USUAL_TYPE });

function headersToKeep(headers: Answer['headers']): string | null {
  const usual = headers['content-type'] === USUAL_TYPE && Object.keys(headers).length === 1;
  return usual ? null : JSON.stringify(headers);
}

/** An answer as columns: status, headers, body, and whether that is deflated. */
function answered({ status, headers, body }: Answer): unknown[] {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const stored = [status, headersToKeep(headers)];
  const { length } = bytes;
  if (length < DEFLATED_FROM || length > DEFLATED_TO || headers['content-encoding']) {
    return [...stored, bytes, 'false'];
  }
  const deflated = deflateRawSync(bytes);
  return deflated.length < length * WORTH_IT
    ? [...stored, deflated, 'true']
    : [...stored, bytes, 'false'];
}

const keyOf = (id: KeyId) => [id.account, id.mode, id.key];
const fencedKeyOf = (id: KeyId, fence: Fence) => [...keyOf(id), fence.claimId, fence.attempt];

const requested = (id: KeyId, fence: Fence, request: StoredRequest) => [
  ...fencedKeyOf(id, fence),
  request.operation,
  Buffer.from(request.fingerprint.hash, 'hex'),
  request.fingerprint.version,
  request.parameters,
  request.originalRequest,
];

const finished = (id: KeyId, fence: Fence, request: StoredRequest, answer: Answer) => [
  ...requested(id, fence, request),
  ...answered(answer),
  request.ttlSeconds,
];

/** A look for an answer, and who waits for it. */
interface Sought {
  readonly id: KeyId;
  readonly resolve: (found: FinishedKey | undefined) => void;
  readonly reject: (error: unknown) => void;
}

interface Lock {
  locked: boolean;
  now_ms: number;
}

interface BacklogRow {
  unfinished: number;
  abandoned: number;
  parked: number;
  recovery_lag: number;
  purge_lag: number;
}

interface Row {
  claim_id: string;
  attempt: number;
  operation: string;
  fingerprint: Buffer;
  fingerprint_version: number;
  parameters: string;
  original_request: string;
  phases: Record<string, unknown> | null;
  status: number | null;
  headers: Record<string, string> | null;
  body: Buffer | null;
  deflated: boolean;
  created_at: Date;
  expires_at: Date;
  expired: boolean;
  lease_expired: boolean;
  age_ms: number;
}

function toKeyRow(row: Row): KeyRow {
  return {
    ...requestOf(row),
    claimId: row.claim_id,
    attempt: row.attempt,
    answer: answerOf(row),
    expired: row.expired,
    leaseExpired: row.lease_expired,
    phases: row.phases ?? {},
    ageMs: row.age_ms,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

type FoundRow = Row & { now_ms: number; expires_at_ms: number };

function foundOf(row: FoundRow): FinishedKey | undefined {
  const answer = answerOf(row);
  const expiresAtMs = Math.floor(row.expires_at_ms);
  return answer && { ...requestOf(row), answer, expiresAtMs };
}

const requestOf = (row: Row) => ({
  operation: row.operation,
  fingerprint: { version: row.fingerprint_version, hash: row.fingerprint.toString('hex') },
  parameters: row.parameters,
  originalRequest: row.original_request,
});

function answerOf({ status, headers, body, deflated }: Row): Answer | undefined {
  if (status === null || !body) return undefined;
  const kept = deflated ? inflateRawSync(body) : body;
  return { status, headers: headers ?? USUAL_HEADERS, body: kept };
}
