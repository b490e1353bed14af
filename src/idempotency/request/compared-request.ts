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
  if (!ignore || !hasNames(body)) return http;
  const kept = Object.entries(body).filter(([name]) => !ignore.includes(name));
  return { method, url: originalUrl ?? url, headers, body: Object.fromEntries(kept) };
}

const hasNames = (body: unknown): body is object =>
  typeof body === 'object' && body !== null && !Array.isArray(body) && !ArrayBuffer.isView(body);
