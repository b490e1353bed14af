/** The answers to a key: what is stored, what is replayed, and how refusals look (R15, R17). */
import {
  IdempotencyCommitFailedError,
  IdempotencyError,
  IdempotencyKeyReusedError,
  IdempotencyOutcomeUnknownError,
  IdempotencyStoreUnavailableError,
} from '../contract/idempotency.errors';
import { writeKey } from '../request/key-header';
import { differences, digestsOf, type Fingerprint, fingerprintOf } from '../request/fingerprint';
import type { OutgoingAnswer } from './pending-response';
import type {
  Answer,
  HttpRequest,
  IdempotentOptions,
  ResolvedOptions,
} from '../contract/idempotency.options';
import type { FinishedKey, KeyId, StoredRequest } from '../store/key.store';
import { CommitInDoubt, isWorthRepeating } from '../store/postgres/transaction';

/** One request to an idempotent endpoint, as this module sees it. */
export interface Call {
  /** Nothing: an atomic operation without a key (R2). */
  readonly id?: KeyId;
  readonly endpoint: IdempotentOptions;
  readonly http: HttpRequest;
  readonly requestId: string;
  readonly operation: string;
  readonly fingerprint: Fingerprint;
  /** What is kept of the request, once it is to run. */
  stored?: StoredRequest;
  /** When the life that it begins ends at the earliest, by the database's clock, ms since 1970. */
  expiresAtMs?: number;
}

/** What a stored request is compared by. */
type Compared = Pick<FinishedKey, 'fingerprint' | 'parameters' | 'operation' | 'originalRequest'>;

/** What is stored of an answer: its status, its bytes, and the headers that are allowed (R15). */
export function keptOf(
  { status, headers, body }: OutgoingAnswer,
  allowed: readonly string[],
): Answer {
  const kept: Record<string, string> = {};
  for (const name of allowed) {
    const value = headers[name];
    if (value !== undefined) kept[name] = String(value);
  }
  return { status, headers: kept, body };
}

/** The headers of every keyed answer (R17). */
export function keyed(
  { id, requestId }: Call,
  originalRequest: string,
  shouldRetry: boolean,
): Record<string, string> {
  if (!id) return {};
  return {
    'idempotency-key': writeKey(id.key),
    'request-id': requestId,
    'original-request': originalRequest,
    'stripe-should-retry': String(shouldRetry),
  };
}

/**
 * The stored answer, for a request that is the stored one.
 *
 * @throws IdempotencyKeyReusedError when it is another (R7)
 */
export function replayOf(finished: FinishedKey, call: Call): Answer {
  if (!isSameRequest(finished, call)) throw reusedBy(finished, call);
  const { status, headers, body } = finished.answer;
  const replayed = keyed(call, finished.originalRequest, false);
  replayed['idempotent-replayed'] = 'true';
  return { status, headers: Object.assign(replayed, headers), body };
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
export function isSameRequest(row: Compared, { fingerprint, http, endpoint }: Call): boolean {
  const { version, hash } = row.fingerprint;
  const mine =
    version === fingerprint.version ? fingerprint : fingerprintOf(http, endpoint.headers, version);
  // A row that a newer version of this module stored: this process cannot tell, another can.
  if (!mine) throw new IdempotencyStoreUnavailableError();
  return mine.hash === hash;
}

/** The error that names what differs, never its values (R7). */
export function reusedBy(row: Compared, call: Call): IdempotencyKeyReusedError {
  // After the handler the body may be another: then they were made before it.
  const sent = call.stored?.parameters ?? digestsOf(call.http, call.endpoint.headers);
  const names = differences(row.parameters, sent);
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
