/** The part of a request that is compared with another under the same key (R7), as its endpoint wants it. */
import type { HttpRequest, IdempotentOptions } from '../contract/idempotency.options';

/** @returns the request itself, unless the endpoint leaves something out */
export function comparedRequest(
  http: HttpRequest,
  { compare, ignore }: Pick<IdempotentOptions, 'compare' | 'ignore'>,
): HttpRequest {
  const { method, url, originalUrl, headers, body } = http;
  if (compare === 'key') {
    const [path = ''] = (originalUrl ?? url).split('?', 1);
    return { method, url: path, headers: { ...headers, 'content-type': undefined } };
  }
  if (!ignore) return http;
  return { method, url: originalUrl ?? url, headers, body: withoutNames(body, ignore) };
}

/** A body without these names at its top; one that has no names is what it was. */
export function withoutNames(body: unknown, ignored: readonly string[]): unknown {
  if (ignored.length === 0 || !hasNames(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([name]) => !ignored.includes(name)));
}

/** Names are those of an object as JSON and forms have it, not of a map or of bytes. */
const hasNames = (body: unknown): body is object =>
  Object.prototype.toString.call(body) === '[object Object]';
