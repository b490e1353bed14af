/**
 * A phased request as its row stores it until it finishes, so that it can be sent again through the same
 * pipeline when its client never comes back (R19).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
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
 * Records a request as it arrived. Its exact bytes need NestJS's `rawBody: true`; without it the body is
 * recorded as JSON.
 *
 * @param named headers to record beside `Content-Type`
 */
export function recordRequest(http: HttpRequest, named: readonly string[] = []): RecordedRequest {
  const headers: Record<string, string> = {};
  for (const name of ['content-type', ...named.map((header) => header.toLowerCase())]) {
    const value = http.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const bytes =
    http.rawBody ?? Buffer.from(http.body === undefined ? '' : JSON.stringify(http.body));
  const url = http.originalUrl ?? http.url;
  return { method: http.method, url, headers, body: bytes.toString('base64') };
}

const recovering = new AsyncLocalStorage<string>();

/** Runs `work` as the recovery of this life of a key. Ambient, because the request passes the whole application. */
export const runAsRecovery = <T>(claimId: string, work: () => T): T =>
  recovering.run(claimId, work);

/** The life of a key that is being recovered here; nothing for a client's request. */
export const claimBeingRecovered = (): string | undefined => recovering.getStore();
