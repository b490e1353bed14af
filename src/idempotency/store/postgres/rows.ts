/** What statements return, and what the store makes of it. */
import type { RecordedRequest } from '../../request/recorded-request';
import type { AbandonedKey, Backlog, FinishedKey, KeyId, KeyRow } from '../key.store';
import { type ResponseColumns, toStoredResponse } from './stored-response';

/** Of `tryLock`. */
export interface LockRow {
  locked: boolean;
  now_ms: number;
}

interface RequestColumns {
  operation: string;
  fingerprint: Buffer;
  fingerprint_version: number;
  parameters: string;
  original_request: string;
}

/** Of `read`. */
export interface Row extends RequestColumns, ResponseColumns {
  claim_id: string;
  attempt: number;
  phases: Record<string, unknown> | null;
  created_at: Date;
  expires_at: Date;
  expired: boolean;
  lease_expired: boolean;
  age_ms: number;
}

/** Of `find`. */
export interface FinishedRow extends RequestColumns, ResponseColumns {
  now_ms: number;
  expires_at_ms: number;
}

/** Of `findAbandoned`. */
export interface AbandonedRow extends KeyId {
  claim_id: string;
  attempt: number;
  original_request: string;
  request: RecordedRequest;
}

/** Of `backlog`. Lags are in seconds. */
export interface BacklogRow {
  unfinished: number;
  abandoned: number;
  parked: number;
  recovery_lag: number;
  purge_lag: number;
}

export function toKeyRow(row: Row): KeyRow {
  return {
    ...requestOf(row),
    claimId: row.claim_id,
    attempt: row.attempt,
    storedResponse: toStoredResponse(row),
    expired: row.expired,
    leaseExpired: row.lease_expired,
    phases: row.phases ?? {},
    ageMs: row.age_ms,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

export function toFinishedKey(row: FinishedRow): FinishedKey | undefined {
  const storedResponse = toStoredResponse(row);
  const expiresAtMs = Math.floor(row.expires_at_ms);
  return storedResponse && { ...requestOf(row), storedResponse, expiresAtMs };
}

export const toAbandonedKey = (row: AbandonedRow): AbandonedKey => ({
  id: { account: row.account, mode: row.mode, key: row.key },
  claimId: row.claim_id,
  attempt: row.attempt,
  originalRequest: row.original_request,
  request: row.request,
});

export const toBacklog = (row: BacklogRow): Backlog => ({
  unfinished: row.unfinished,
  abandoned: row.abandoned,
  parked: row.parked,
  recoveryLagSeconds: Math.max(0, row.recovery_lag),
  purgeLagSeconds: row.purge_lag,
});

const requestOf = (row: RequestColumns) => ({
  operation: row.operation,
  fingerprint: { version: row.fingerprint_version, hash: row.fingerprint.toString('hex') },
  parameters: row.parameters,
  originalRequest: row.original_request,
});
