/**
 * The SQL of every method of `KeyStore`, and the values it takes: a statement on the table of keys is changed
 * here. Every time is the database's (R5).
 */
import { hash } from 'node:crypto';
import type { QueryConfig } from 'pg';
import type { Fence } from '../fence';
import {
  type KeyId,
  keyNameOf,
  type NewClaim,
  type NewFinishedKey,
  type StoredRequest,
} from '../key.store';
import { toResponseColumns } from './stored-response';

const COLUMNS = `claim_id, attempt, operation, fingerprint, fingerprint_version,
  parameters::text AS parameters, original_request, phases, status, headers, body, deflated,
  created_at, expires_at, status IS NOT NULL AND expires_at <= now() AS expired,
  status IS NULL AND lease_until <= now() AS lease_expired,
  (extract(epoch FROM now() - created_at) * 1000)::float8 AS age_ms`;
const NOW_MS = '(extract(epoch FROM now()) * 1000)::float8 AS now_ms';
const THIS_KEY = 'account = $1 AND mode = $2 AND key = $3';
// From now, not from the transaction's start: a long local phase must not eat its own lease.
const LEASE = (ms: string) => `clock_timestamp() + ${ms}::int * interval '1 millisecond'`;
// If the key would expire while its handler runs, it is kept 45 s, so that a retry still finds the response.
const MIN_EXPIRY = `clock_timestamp() + interval '45 seconds'`;
// A check that is sent together with COMMIT must raise an error where it does not hold: an UPDATE of no
// rows would let the COMMIT through. So another attempt's fence becomes NULL in a column that refuses it
// (R11).
const FENCED = 'claim_id = CASE WHEN claim_id = $4 AND attempt = $5 THEN claim_id END';

export const SQL = {
  // In the same statement: PostgreSQL ends a frozen owner's transaction, which releases the key (R9).
  tryLock: `SELECT pg_try_advisory_xact_lock($1::bigint) AS locked, ${NOW_MS},
    set_config('idle_in_transaction_session_timeout', $2, true)`,
  lock: `SELECT pg_advisory_xact_lock($1::bigint),
    set_config('idle_in_transaction_session_timeout', $2, true)`,
  isLocked: `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = (($1::bigint >> 32) & 4294967295)::oid
      AND objid = ($1::bigint & 4294967295)::oid) AS running`,
  // Every handler's transaction holds the lock of its key.
  waitingFor: `SELECT 1 FROM unnest(string_to_array($2, ',')::int[]) AS own (pid)
    WHERE $1::int = ANY (pg_blocking_pids(own.pid))
      AND NOT EXISTS (SELECT FROM pg_locks held WHERE held.pid = own.pid AND held.locktype = 'advisory')`,
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
      now(), greatest(now() + $15::int * interval '1 second', ${MIN_EXPIRY}))`,
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
      expires_at = greatest(expires_at, CASE WHEN attempt = 1 THEN ${MIN_EXPIRY}
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
  asyncCommit: 'SET LOCAL synchronous_commit = off',
  busy: `SELECT count(*)::int AS busy FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND state <> 'idle'
      AND pid <> pg_backend_pid()`,
  // By ctid: the rows are locked, so they stay where they are. Half the cost of finding them again by key.
  purge: `DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
      SELECT ctid FROM idempotency_keys
      WHERE expires_at <= now() AND status IS NOT NULL
      ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`,
};
// An expired, finished row is replaced. Times pass through excluded.*: some sharded PostgreSQLs
// refuse now() in ON CONFLICT.
export const INSERT_ALONE = `${SQL.insertFinished}
  ON CONFLICT (account, mode, key) DO UPDATE SET claim_id = excluded.claim_id,
    attempt = excluded.attempt, operation = excluded.operation, fingerprint = excluded.fingerprint,
    fingerprint_version = excluded.fingerprint_version, parameters = excluded.parameters,
    original_request = excluded.original_request, phases = NULL, status = excluded.status,
    headers = excluded.headers, body = excluded.body, deflated = excluded.deflated,
    created_at = excluded.created_at, expires_at = excluded.expires_at, lease_until = NULL
  WHERE idempotency_keys.status IS NOT NULL
    AND idempotency_keys.expires_at <= excluded.created_at
  RETURNING 1`;

/** A prepared statement: parsed once on each connection. */
export const named = (name: keyof typeof SQL, values: unknown[]): QueryConfig => ({
  name: `paidonce_${name}`,
  text: SQL[name],
  values,
});

/** The advisory lock of a key: the first eight bytes of SHA-256(scope, key) (R4). */
export function lockOf(id: KeyId): string {
  const digest = hash('sha256', keyNameOf(id));
  return BigInt.asIntN(64, BigInt(`0x${digest.slice(0, 16)}`)).toString();
}

export const keyValues = (id: KeyId): unknown[] => [id.account, id.mode, id.key];

export const fenceValues = (id: KeyId, fence: Fence): unknown[] => [
  ...keyValues(id),
  fence.claimId,
  fence.attempt,
];

/** Of `insertFinished`, and of the same insert alone. */
export const finishedValues = ({
  id,
  fence,
  request,
  storedResponse,
}: NewFinishedKey): unknown[] => [
  ...requestValues(id, fence, request),
  ...toResponseColumns(storedResponse),
  request.ttlSeconds,
];

/** Of `insertClaim`. */
export const claimValues = ({ id, fence, request, phases, leaseMs }: NewClaim): unknown[] => [
  ...requestValues(id, fence, request),
  request.ttlSeconds,
  JSON.stringify(phases),
  leaseMs,
  JSON.stringify(request.recorded),
];

const requestValues = (id: KeyId, fence: Fence, request: StoredRequest): unknown[] => [
  ...fenceValues(id, fence),
  request.operation,
  Buffer.from(request.fingerprint.hash, 'hex'),
  request.fingerprint.version,
  request.parameters,
  request.originalRequest,
];
