/**
 * The responses to a key: what is stored, what is replayed, and their headers (R15, R17). The list of stored
 * headers is in `idempotency.options.ts`.
 */
import { isMarkedRetryable } from '../attempts/outcome';
import type { OutgoingResponse } from '../attempts/outgoing-response';
import type { StoredResponse } from '../contract/idempotency.options';
import { writeKey } from '../request/key-header';
import type { FinishedKey } from '../store/key.store';
import type { IdempotentCall } from './idempotent-call';

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
  originalRequest: string | undefined,
  shouldRetry: boolean,
): Record<string, string> {
  if (!id || originalRequest === undefined) return {};
  return {
    'idempotency-key': writeKey(id.key),
    'request-id': requestId,
    'original-request': originalRequest,
    'stripe-should-retry': String(shouldRetry),
  };
}

/**
 * The stored response, for a call that is the stored request.
 *
 * @throws IdempotencyKeyReusedError when it is another request (R7)
 */
export function replayOf(finished: FinishedKey, call: IdempotentCall): StoredResponse {
  const { status, headers, body } = finished.storedResponse;
  const replayed = keyHeaders(call, finished.originalRequest, false);
  if (!call.isSameAs(finished)) throw call.reusedError(finished);
  replayed['idempotent-replayed'] = 'true';
  return { status, headers: Object.assign(replayed, headers), body };
}

/**
 * What a handler could have returned for this response, for interceptors that map it: the value of JSON, text as
 * a string, other bytes as a Buffer, and nothing for an empty body.
 */
export function valueOf({ headers, body }: StoredResponse): unknown {
  if (body.length === 0) return undefined;
  const type = headers['content-type'] ?? '';
  const bytes = headers['content-encoding'] !== undefined;
  if (bytes || !/json|^text\//i.test(type)) return Buffer.from(body);
  const text = body.toString();
  if (!/json/i.test(type)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Whether a response that was not stored may change when the same key is sent again (R17). */
export function isWorthRetrying(status: number, error: unknown): boolean {
  const isTemporary = status >= 500 || status === 408 || status === 425 || status === 429;
  return isTemporary || isMarkedRetryable(error);
}
