/** The responses to a key: what is stored, what is replayed, and how refusals look (R15, R17). */
import type { OutgoingResponse } from '../attempts/outgoing-response';
import {
  IdempotencyCommitFailedError,
  IdempotencyError,
  IdempotencyKeyReusedError,
  IdempotencyOutcomeUnknownError,
  IdempotencyStoreUnavailableError,
} from '../contract/idempotency.errors';
import type {
  ErrorResponse,
  HttpRequest,
  IdempotentOptions,
  ResolvedOptions,
  StoredResponse,
} from '../contract/idempotency.options';
import { differences, digestsOf, type Fingerprint, fingerprintOf } from '../request/fingerprint';
import { writeKey } from '../request/key-header';
import type { FinishedKey, KeyId, KeyStore, StoredRequest } from '../store/key.store';
import { CommitInDoubtError } from '../store/store.errors';

/** One request to an idempotent endpoint, as the pipeline sees it. */
export interface IdempotentCall {
  /** Nothing: an atomic operation without a key (R2). */
  readonly id?: KeyId;
  readonly endpoint: IdempotentOptions;
  readonly http: HttpRequest;
  readonly requestId: string;
  readonly operation: string;
  readonly fingerprint: Fingerprint;
  /** What is stored of the request, once it is to run. */
  stored?: StoredRequest;
  /** Earliest end of the life that it begins, by the database's clock, ms since 1970. */
  expiresAtMs?: number;
}

/** What of a stored request is compared. */
type Compared = Pick<FinishedKey, 'fingerprint' | 'parameters' | 'operation' | 'originalRequest'>;

/** What is stored of a response: its status, its bytes, and the headers that are allowed (R15). */
export function storedResponseOf(
  { status, headers, body }: OutgoingResponse,
  allowed: readonly string[],
): StoredResponse {
  const stored: Record<string, string> = {};
  for (const name of allowed) {
    const value = headers[name];
    if (value !== undefined) stored[name] = String(value);
  }
  return { status, headers: stored, body };
}

/** The headers of every response to a request with a key (R17). */
export function keyHeaders(
  { id, requestId }: IdempotentCall,
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
 * The stored response, for a request that is the stored one.
 *
 * @throws IdempotencyKeyReusedError when it is another request (R7)
 */
export function replayOf(finished: FinishedKey, call: IdempotentCall): StoredResponse {
  if (!isSameRequest(finished, call)) throw keyReusedError(finished, call);
  const { status, headers, body } = finished.storedResponse;
  const replayed = keyHeaders(call, finished.originalRequest, false);
  replayed['idempotent-replayed'] = 'true';
  return { status, headers: Object.assign(replayed, headers), body };
}

/** One of this module's errors as a response. */
export function refusalOf(
  error: IdempotencyError,
  format: ResolvedOptions['formatError'],
  request: Pick<IdempotentCall, 'http' | 'requestId'> & Partial<IdempotentCall>,
): ErrorResponse {
  const formatted = format(error, request.http);
  const headers: Record<string, string> = {
    ...formatted.headers,
    'request-id': request.requestId,
    'stripe-should-retry': String(error.retryable),
  };
  if (error.retryAfter !== undefined) headers['retry-after'] = String(error.retryAfter);
  if (error.originalRequest) headers['original-request'] = error.originalRequest;
  if (request.id) headers['idempotency-key'] = writeKey(request.id.key);
  return { status: formatted.status, headers, body: formatted.body };
}

/** Whether a response that was not stored may change when the same key is sent again (R17). */
export function isWorthRetrying(status: number, error: unknown): boolean {
  const marked = (error as { retryable?: unknown } | undefined)?.retryable === true;
  return marked || status >= 500 || status === 408 || status === 425 || status === 429;
}

/**
 * Compares in the row's version of the fingerprint, so that a rolling deployment changes no decision.
 *
 * @throws IdempotencyStoreUnavailableError for a version of a newer release
 */
export function isSameRequest(
  row: Compared,
  { fingerprint, http, endpoint }: IdempotentCall,
): boolean {
  const { version, hash } = row.fingerprint;
  const mine =
    version === fingerprint.version ? fingerprint : fingerprintOf(http, endpoint.headers, version);
  // This process cannot compare it; one of the newer release can.
  if (!mine) throw new IdempotencyStoreUnavailableError();
  return mine.hash === hash;
}

/** The error that names what differs, never its values (R7). */
export function keyReusedError(row: Compared, call: IdempotentCall): IdempotencyKeyReusedError {
  // The handler may change the body, so the digests made before it are used.
  const sent = call.stored?.parameters ?? digestsOf(call.http, call.endpoint.headers);
  const names = differences(row.parameters, sent);
  return new IdempotencyKeyReusedError(names, row.operation, row.originalRequest);
}

/** What a failure of the store or of a commit means to the client. */
export function asIdempotencyError(failure: unknown, store: KeyStore): IdempotencyError {
  if (failure instanceof IdempotencyError) return failure;
  if (failure instanceof CommitInDoubtError) {
    return new IdempotencyOutcomeUnknownError({ cause: failure });
  }
  return store.isWorthRepeating(failure)
    ? new IdempotencyStoreUnavailableError({ cause: failure })
    : new IdempotencyCommitFailedError({ cause: failure });
}
