/** `Prefer: wait=N` (RFC 7240): how long a client would have its copy of a request wait (R8). */
import type { HttpRequest } from '../contract/idempotency.options';

/** @returns seconds, at most `maxSeconds`; 0 without the preference */
export function waitSecondsOf(http: HttpRequest, maxSeconds: number): number {
  const prefer = String(http.headers['prefer'] ?? '');
  const wait = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])/i.exec(prefer)?.[1];
  return Math.min(Number(wait ?? 0), maxSeconds);
}
