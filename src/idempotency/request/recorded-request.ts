/**
 * A phased request as its row stores it until it finishes, so that it can be sent again through the same
 * pipeline when its client never comes back (R19).
 */
import type { HttpRequest } from '../contract/idempotency.options';

/** Stored as JSON; never with credentials. */
export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** `Content-Type` and the headers that are part of the endpoint's fingerprint. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body's bytes, base64. */
  readonly body: string;
}

/**
 * Records a request as it arrived. Its exact bytes need NestJS's `rawBody: true`; without it a JSON body is
 * written anew. Any other body was refused before (R7a).
 *
 * @param hasBody whether one was sent: parsers leave something where none was
 * @param named headers to record beside `Content-Type`
 */
export function recordRequest(
  http: HttpRequest,
  hasBody: boolean,
  named: readonly string[] = [],
): RecordedRequest {
  const headers: Record<string, string> = {};
  for (const name of ['content-type', ...named.map((header) => header.toLowerCase())]) {
    const value = http.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const bytes = http.rawBody ?? Buffer.from(hasBody ? JSON.stringify(http.body) : '');
  const url = http.originalUrl ?? http.url;
  return { method: http.method, url, headers, body: bytes.toString('base64') };
}

/** A property of Node's request: recovery makes that object, and no client can set it. */
const CLAIM = Symbol('paidonce:claim');
type RecoveringRequest = object & { [CLAIM]?: string };

/** Marks Node's request as the recovery of this life of a key. */
export function markRecovery(request: object, claimId: string): void {
  (request as RecoveringRequest)[CLAIM] = claimId;
}

/** The life of a key that this request recovers; nothing for a client's request. */
export function claimBeingRecovered(http: HttpRequest): string | undefined {
  return ((http.raw ?? http) as RecoveringRequest)[CLAIM];
}
