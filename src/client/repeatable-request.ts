/** A request that every attempt sends alike: the same body bytes, headers and key. */
import { readAhead, type Bytes } from './body-reader';
import type { Fetch } from './retry.options';
import { newKey } from './web-crypto';

export type FetchInput = Parameters<Fetch>[0];
export type FetchInit = NonNullable<Parameters<Fetch>[1]>;
type FetchBody = FetchInit['body'];

/** What `fetch` is given on each attempt, and what errors and reports say about it. */
export interface RepeatableRequest {
  readonly method: string;
  readonly url: string;
  readonly input: FetchInput;
  readonly init: FetchInit & { readonly headers: Headers };
  /** The caller's signal. */
  readonly signal?: AbortSignal;
  /** The key on every attempt. */
  readonly idempotencyKey?: string;
  /** Whether the caller gave the key. */
  readonly callersKey: boolean;
}

/** The methods that HTTP itself defines as idempotent (RFC 9110, 9.2.2): repeated without a key. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

/** The body of a `Request` is read into memory; a longer one is refused. 16 MiB. */
const MAX_REQUEST_BYTES = 16_777_216;

const FORM_TYPE = 'application/x-www-form-urlencoded;charset=UTF-8';

/** Thrown for a body that can be sent only once. */
export class NotRepeatableError extends Error {}

/**
 * Reads the body of a request into memory and gives the request its key.
 *
 * @throws NotRepeatableError for a stream and for the body of a Request that is too long
 * @throws TypeError for what `fetch` would not take either
 */
export async function toRepeatable(
  input: FetchInput,
  init: FetchInit = {},
): Promise<RepeatableRequest> {
  const request = typeof input === 'string' || 'href' in input ? undefined : input;
  const headers = new Headers(init.headers ?? request?.headers);
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase();
  const signal = (init.signal === undefined ? request?.signal : init.signal) ?? undefined;
  signal?.throwIfAborted();
  const { body, type } = await fixBody(init.body ?? (await bytesOf(request, signal)));
  if (type !== undefined && !headers.has('content-type')) headers.set('content-type', type);
  const given = headers.get('idempotency-key') ?? undefined;
  const idempotencyKey = given ?? (IDEMPOTENT.has(method) ? undefined : newKey());
  if (idempotencyKey !== undefined) headers.set('idempotency-key', idempotencyKey);
  // Beside an init, `fetch` resets these two of a Request.
  const kept = request && { referrer: request.referrer, referrerPolicy: request.referrerPolicy };
  return {
    method,
    url: urlOf(input),
    input,
    init: { ...kept, ...init, headers, ...(body !== undefined && { body }) },
    signal,
    idempotencyKey,
    callersKey: given !== undefined,
  };
}

/** The absolute URL; in a page, a path is relative to the page. */
export function urlOf(input: FetchInput): string {
  if (typeof input === 'object' && 'url' in input) return input.url;
  const page = (globalThis as { location?: { href: string } }).location?.href;
  return new URL(input, page).href;
}

/**
 * Copies a body, so that each attempt sends the bytes that it had when `fetch` was called. A form with
 * files gets its boundary here, once: another boundary on each attempt would be another body.
 */
async function fixBody(body: FetchBody | undefined): Promise<{ body?: FetchBody; type?: string }> {
  if (body === undefined || body === null || typeof body === 'string') return { body };
  if (ArrayBuffer.isView(body)) {
    return { body: new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice() };
  }
  switch (Object.prototype.toString.call(body)) {
    case '[object ArrayBuffer]':
      return { body: (body as ArrayBuffer).slice(0) };
    case '[object Blob]':
    case '[object File]':
      return { body };
    case '[object URLSearchParams]':
      return { body: (body as URLSearchParams).toString(), type: FORM_TYPE };
    case '[object FormData]': {
      const form = new Response(body);
      const type = form.headers.get('content-type') ?? undefined;
      return { body: new Uint8Array(await form.arrayBuffer()), type };
    }
  }
  if (typeof body === 'object' && (Symbol.asyncIterator in body || 'getReader' in body)) {
    throw new NotRepeatableError(
      'its body is a stream, which can be sent only once. Read it into a Blob, a string or bytes ' +
        'first, or use plain fetch for it',
    );
  }
  return { body };
}

/** Reads the body of a Request, which `fetch` would use up as well. */
async function bytesOf(
  request: Request | undefined,
  signal: AbortSignal | undefined,
): Promise<Bytes | undefined> {
  if (!request || request.body === null) return undefined;
  // Firefox has no `body` here: a Request holds its body in memory there.
  if (request.body === undefined) return new Uint8Array(await request.arrayBuffer());
  const reader = request.body.getReader();
  const stop = () => void reader.cancel(signal?.reason).catch(() => undefined);
  signal?.addEventListener('abort', stop);
  const { whole } = await readAhead(reader, MAX_REQUEST_BYTES + 1);
  signal?.removeEventListener('abort', stop);
  signal?.throwIfAborted();
  if (whole) return whole;
  stop();
  throw new NotRepeatableError(
    `the body of its Request is longer than the ${MAX_REQUEST_BYTES} bytes that are held for another ` +
      'attempt. Hand a Blob or bytes to fetch(url, { body }) instead, or use plain fetch for it',
  );
}
