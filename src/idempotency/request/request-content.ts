/**
 * Reads what a request holds behind its head, as it is compared: nothing runs that cannot be compared, and
 * nothing phased that could not be sent again (R7a).
 */
import { IdempotencyBodyUnreadableError } from '../contract/idempotency.errors';
import type { HttpRequest, IdempotentOptions } from '../contract/idempotency.options';
import { type BodyState, bodyStateOf, discardBody } from './body-state';
import { canonicalValue } from './canonical-value';
import { withoutNames } from './compared-request';
import { digestFiles, type FileDigest, formOf } from './uploaded-files';

/** What is compared of a request behind its head. */
export interface RequestContent {
  /** Whether a byte of a body was sent. */
  readonly hasBody: boolean;
  /** The parsed body, without files and without what is not compared. */
  readonly body: unknown;
  readonly files?: readonly FileDigest[];
  /** What the endpoint's `fingerprint` returned. */
  readonly value?: unknown;
}

type Endpoint = Pick<IdempotentOptions, 'fingerprint' | 'phased' | 'compare' | 'ignore'>;

/**
 * Reads the content. Call it before the handler runs.
 *
 * @returns no promise unless there are files to hash, an end to wait for, or `fingerprint` returns one
 * @throws IdempotencyBodyUnreadableError where a body was sent that cannot be compared, or not sent again
 */
export function readContent(
  http: HttpRequest,
  endpoint: Endpoint,
): RequestContent | Promise<RequestContent> {
  const needsBody = endpoint.compare !== 'key' || endpoint.phased === true;
  const state = needsBody ? bodyStateOf(http) : 'none';
  return state instanceof Promise
    ? state.then((late) => readInState(http, endpoint, late))
    : readInState(http, endpoint, state);
}

function readInState(
  http: HttpRequest,
  endpoint: Endpoint,
  state: BodyState,
): RequestContent | Promise<RequestContent> {
  if (endpoint.phased) requireBytes(http, state);
  const value = endpoint.fingerprint?.(http);
  return value instanceof Promise
    ? value.then((late: unknown) => contentOf(http, endpoint, { state, value: late }))
    : contentOf(http, endpoint, { state, value });
}

/** @param value what `fingerprint` returned, which stands for what cannot be read */
function contentOf(
  http: HttpRequest,
  { compare, ignore = [] }: Endpoint,
  { state, value }: { state: BodyState; value: unknown },
): RequestContent | Promise<RequestContent> {
  const hasBody = state !== 'none';
  if (compare === 'key') return { hasBody, body: undefined, value };
  if (state === 'unread') {
    if (value === undefined) throw unread(http);
    return { hasBody, body: undefined, value };
  }
  const parsed = parsedBodyOf(http, state);
  const { body, files } = isForm(http) ? formOf(http, parsed) : { body: parsed, files: [] };
  if (hasBody && body === undefined && files.length === 0 && value === undefined) throw lost();
  const kept = withoutNames(body, ignore);
  if (files.length === 0) return { hasBody, body: kept, value };
  const compared = files.filter(({ field }) => !ignore.includes(field));
  return digestFiles(compared, value !== undefined).then((digests) => ({
    hasBody,
    body: kept,
    files: digests,
    value,
  }));
}

/** What parsers left of a body, its bytes where that is nothing. */
function parsedBodyOf(http: HttpRequest, state: BodyState): unknown {
  const { body, rawBody } = http;
  if (state === 'none') return isEmpty(body) ? undefined : body;
  return isLeftUnparsed(http) ? rawBody : body;
}

/** Parsers turn a body without a byte into one of these. */
function isEmpty(body: unknown): boolean {
  if (body === undefined || body === null || body === '') return true;
  return typeof body === 'object' && Object.keys(body).length === 0;
}

/** Express 4, under Nest 10, sets `{}` where no parser took the body. Each marks what it took with `_body`. */
function isLeftUnparsed(http: HttpRequest): boolean {
  const { body, raw } = http;
  if (body === undefined) return true;
  if (raw || typeof body !== 'object' || body === null || !isEmpty(body)) return false;
  const isPlainObject = Object.prototype.toString.call(body) === '[object Object]';
  const isOfNoLibrary = isPlainObject && Object.getPrototypeOf(body) !== null;
  // Internals: parsed-bodies
  return isOfNoLibrary && !isJson(http) && (http as { _body?: boolean })._body !== true;
}

/**
 * Recovery sends a phased request again, so its bytes must be here, or a body that JSON writes anew without
 * loss.
 */
function requireBytes(http: HttpRequest, state: BodyState): void {
  if (state === 'none' || (state === 'read' && (http.rawBody || isWrittenByJson(http)))) return;
  if (state === 'unread') discardBody(http);
  throw new IdempotencyBodyUnreadableError(
    'The bytes of this body were not kept, and without them this phased request could not be sent again ' +
      'after a crash.',
    'The developer of the endpoint creates the application with { rawBody: true } and with a parser for ' +
      'this media type, or makes the operation atomic, as uploads must be.',
  );
}

function isWrittenByJson(http: HttpRequest): boolean {
  if (!isJson(http) || http.body === undefined) return false;
  try {
    const anew: unknown = JSON.parse(JSON.stringify(http.body));
    return canonicalValue(anew) === canonicalValue(http.body);
  } catch {
    return false;
  }
}

const isJson = (http: HttpRequest): boolean =>
  /^\s*application\/([^;]*\+)?json\s*(;|$)/i.test(String(http.headers['content-type']));

/** Whether it may have files. */
const isForm = (http: HttpRequest): boolean =>
  /^\s*multipart\//i.test(String(http.headers['content-type']));

function unread(http: HttpRequest): IdempotencyBodyUnreadableError {
  discardBody(http);
  return new IdempotencyBodyUnreadableError(
    'The body of this request was not read before its Idempotency-Key was looked up.',
    isForm(http)
      ? 'The developer of the endpoint writes @Idempotent() above the interceptor that reads the upload: ' +
          'above @UseInterceptors(FileInterceptor(…)), for example.'
      : 'The developer of the endpoint adds a parser for this media type, or sets ' +
          '@Idempotent({ fingerprint }) where the handler reads the body itself.',
  );
}

const lost = () =>
  new IdempotencyBodyUnreadableError(
    'The body of this request was read, and nothing of it is in body, rawBody, file or files.',
    'The developer of the endpoint has what reads it set one of these, or sets ' +
      '@Idempotent({ fingerprint }).',
  );
