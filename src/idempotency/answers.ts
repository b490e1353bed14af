/** The answers to a key: what is stored, what is replayed, and how refusals look (R15, R17). */
import {
  IdempotencyCommitFailedError,
  IdempotencyError,
  IdempotencyKeyReusedError,
  IdempotencyOutcomeUnknownError,
  IdempotencyStoreUnavailableError,
} from './idempotency.errors';
import { writeKey } from './idempotency-key';
import { differences, fingerprintOf } from './fingerprint';
import type {
  Answer,
  HttpRequest,
  IdempotentOptions,
  ResolvedOptions,
} from './idempotency.options';
import type { FinishedKey, KeyId, StoredRequest } from './key.store';
import { CommitInDoubt, isWorthRepeating } from './transaction';

/** One request to an idempotent endpoint, as this module sees it. */
export interface Call {
  /** Nothing: an atomic operation without a key (R2). */
  readonly id?: KeyId;
  readonly endpoint: IdempotentOptions;
  readonly http: HttpRequest;
  readonly requestId: string;
  readonly stored: StoredRequest;
  /** When the life that this request may begin ends at the earliest, by the database's clock. */
  expiresAt?: Date;
}

/** What a stored request is compared by. */
type Compared = Pick<FinishedKey, 'fingerprint' | 'operation' | 'originalRequest'>;

/** What is stored of an answer: its status, its bytes, and the headers that are allowed (R15). */
export function keptOf({ status, headers, body }: Answer, allowed: readonly string[]): Answer {
  const kept: Record<string, string> = {};
  for (const name of allowed) {
    const value = headers[name];
    if (value !== undefined) kept[name] = value;
  }
  return { status, headers: kept, body };
}

/**
 * The headers of every keyed answer (R17). The same `body` object stays in it: the exchange sees by
 * that whether other bytes are sent.
 */
export function keyed(
  answer: Answer,
  call: Call,
  originalRequest: string,
  shouldRetry: boolean,
): Answer {
  if (!call.id) return answer;
  const headers = {
    ...answer.headers,
    'idempotency-key': writeKey(call.id.key),
    'request-id': call.requestId,
    'original-request': originalRequest,
    'stripe-should-retry': String(shouldRetry),
  };
  return { status: answer.status, headers, body: answer.body };
}

/**
 * The stored answer, for a request that is the stored one.
 *
 * @throws IdempotencyKeyReusedError when it is another (R7)
 */
export function replayOf(finished: FinishedKey, call: Call): Answer {
  if (!isSameRequest(finished, call)) throw reusedBy(finished, call);
  const answer = keyed(finished.answer, call, finished.originalRequest, false);
  return { ...answer, headers: { ...answer.headers, 'idempotent-replayed': 'true' } };
}

/** One of this module's own errors, as bytes. */
export function refusalOf(
  error: IdempotencyError,
  format: ResolvedOptions['formatError'],
  request: Pick<Call, 'http' | 'requestId'> & Partial<Call>,
): Answer {
  const answer = format(error, request.http);
  const headers: Record<string, string> = {
    ...answer.headers,
    'request-id': request.requestId,
    'stripe-should-retry': String(error.retryable),
  };
  if (error.retryAfter !== undefined) headers['retry-after'] = String(error.retryAfter);
  if (error.originalRequest) headers['original-request'] = error.originalRequest;
  if (request.id) headers['idempotency-key'] = writeKey(request.id.key);
  return { status: answer.status, headers, body: answer.body };
}

/** Whether an answer that was not stored may change when the same key is sent again (R17). */
export function worthRetrying(status: number, error: unknown): boolean {
  const marked = (error as { retryable?: unknown } | undefined)?.retryable === true;
  return marked || status >= 500 || status === 408 || status === 425 || status === 429;
}

/** Compares in the version the row has, so that a rolling deployment changes no decision. */
export function isSameRequest(row: Compared, { stored, http, endpoint }: Call): boolean {
  const { version, hash } = row.fingerprint;
  const mine =
    version === stored.fingerprint.version
      ? stored.fingerprint
      : fingerprintOf(http, endpoint.headers, version);
  // A row that a newer version of this module stored: this process cannot tell, another can.
  if (!mine) throw new IdempotencyStoreUnavailableError();
  return mine.hash.equals(hash);
}

/** The error that names what differs, never its values (R7). */
export function reusedBy(row: Compared, call: Call): IdempotencyKeyReusedError {
  const names = differences(row.fingerprint.parameters, call.stored.fingerprint.parameters);
  return new IdempotencyKeyReusedError(names, row.operation, row.originalRequest);
}

/** What a failure of the store means to the client. */
export function asIdempotencyError(failure: unknown): IdempotencyError {
  if (failure instanceof IdempotencyError) return failure;
  if (failure instanceof CommitInDoubt) {
    return new IdempotencyOutcomeUnknownError({ cause: failure });
  }
  return isWorthRepeating(failure)
    ? new IdempotencyStoreUnavailableError({ cause: failure })
    : new IdempotencyCommitFailedError({ cause: failure });
}
