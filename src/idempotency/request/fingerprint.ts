/**
 * What makes two requests the same (R7, R7b): a versioned canonical form of method, actual path, sorted
 * query, parsed body, and the host and version that the route declares, hashed with SHA-256. Headers take no
 * part, save those an endpoint names.
 */
import { hash } from 'node:crypto';
import type { HttpRequest } from '../contract/idempotency.options';
import { IdempotencyKeyInvalidError } from '../contract/idempotency.errors';
import type { RouteSelectors } from './route-selectors';

/** The canonical form new rows are stored with. Older rows are compared in theirs. */
export const FINGERPRINT_VERSION = 2;

/** How many parameters get a digest of their own; what lies beyond is named "other parameters". */
const MAX_NAMED_PARAMETERS = 64;
/** Deeper bodies are refused: the canonical form is made by recursion. */
const MAX_DEPTH = 100;

/** A request in comparable form. */
export interface Fingerprint {
  readonly version: number;
  /** SHA-256 of the canonical form, in hex. */
  readonly hash: string;
}

/** What takes part beside method, path, query and body. */
export interface Compared {
  /** Names of headers. */
  readonly headers?: readonly string[] | undefined;
  /** What selects the route; it takes no part in form 1. */
  readonly selectors?: RouteSelectors;
}

type CanonicalForm = (request: HttpRequest, compared: Compared) => string;

const CANONICAL_FORMS: Readonly<Record<number, CanonicalForm>> = {
  1: (request, { headers }) => JSON.stringify(commonParts(request, headers)),
  2: (request, { headers, selectors = {} }) =>
    JSON.stringify([...commonParts(request, headers), selectors.host, selectors.version]),
};

/**
 * The fingerprint of a request. Computed before the handler can touch the body.
 *
 * @returns nothing for a version this process does not know (a newer one stored the row)
 * @throws IdempotencyKeyInvalidError for a body nested deeper than 100 levels
 */
export function fingerprintOf(request: HttpRequest, compared?: Compared): Fingerprint;
export function fingerprintOf(
  request: HttpRequest,
  compared: Compared,
  version: number,
): Fingerprint | undefined;
export function fingerprintOf(
  request: HttpRequest,
  compared: Compared = {},
  version = FINGERPRINT_VERSION,
): Fingerprint | undefined {
  const canonical = CANONICAL_FORMS[version];
  if (!canonical) return undefined;
  return { version, hash: hash('sha256', canonical(request, compared)) };
}

/**
 * What differs between two requests, as names for a person; never empty.
 *
 * @param storedDigests of the one that is stored, as `digestsOf` gave them
 */
export function differences(storedDigests: string, sentDigests: string): string[] {
  const stored = JSON.parse(storedDigests) as Record<string, string>;
  const sent = JSON.parse(sentDigests) as Record<string, string>;
  const names = new Set([...Object.keys(stored), ...Object.keys(sent)]);
  const differing = [...names].filter((name) => stored[name] !== sent[name]).toSorted();
  return differing.length > 0 ? differing : ['the form of the body'];
}

function commonParts(request: HttpRequest, headers: readonly string[] = []): unknown[] {
  const { path, query } = target(request);
  return [
    request.method,
    path,
    query,
    mediaType(request),
    headers.map((name) => [name.toLowerCase(), String(request.headers[name.toLowerCase()] ?? '')]),
    canonicalJson(request.body, 0),
  ];
}

/** JSON with sorted keys: `1` and `"1"` stay distinct, arrays keep their order. */
function canonicalJson(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) {
    throw new IdempotencyKeyInvalidError(
      `The body is nested deeper than ${MAX_DEPTH} levels, which an idempotent request may not be.`,
    );
  }
  if (value === undefined) return '';
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (ArrayBuffer.isView(value)) {
    return `bytes:${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}`;
  }
  if (Array.isArray(value)) {
    return `[${value.map((item) => canonicalJson(item ?? null, depth + 1)).join(',')}]`;
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member, depth + 1)}`);
  return `{${members.join(',')}}`;
}

/**
 * Four bytes in hex for each top-level parameter and for `(path)`, to name what differs (R7). As JSON,
 * which is how they are kept. Only for a request that is to be stored, or refused.
 *
 * @param version of the row they are kept in or compared with: form 1 knows no host and no version
 */
export function digestsOf(
  request: HttpRequest,
  { headers = [], selectors = {} }: Compared = {},
  version = FINGERPRINT_VERSION,
): string {
  const { path, query } = target(request);
  const { body } = request;
  const parts: [string, string][] = [['(path)', `${request.method} ${path}`]];
  if (query.length > 0) parts.push(['(query)', JSON.stringify(query)]);
  if (version > 1) {
    for (const [name, text] of Object.entries(selectors)) parts.push([`(${name})`, String(text)]);
  }
  for (const name of headers) {
    parts.push([`(header ${name})`, String(request.headers[name.toLowerCase()] ?? '')]);
  }
  const named = typeof body === 'object' && body !== null && !Array.isArray(body);
  if (named && !ArrayBuffer.isView(body)) {
    const members = Object.entries(body).filter(([, value]) => value !== undefined);
    for (const [name, value] of members.slice(0, MAX_NAMED_PARAMETERS)) {
      parts.push([forPeople(name), canonicalJson(value, 1)]);
    }
    const rest = Object.fromEntries(members.slice(MAX_NAMED_PARAMETERS));
    if (members.length > MAX_NAMED_PARAMETERS) {
      parts.push(['other parameters', canonicalJson(rest, 0)]);
    }
  } else if (body !== undefined && body !== null) {
    parts.push(['(body)', canonicalJson(body, 0)]);
  }
  // fromEntries: a parameter may be called `__proto__`
  return JSON.stringify(
    Object.fromEntries(
      parts.map(([name, text]) => [name, hash('sha256', `${name}\n${text}`).slice(0, 8)]),
    ),
  );
}

/** What a message and a column of text can hold: no control characters, no half of a letter. */
function forPeople(name: string): string {
  return name.slice(0, 64).replace(/[\p{Cc}\p{Cs}]/gu, '\ufffd');
}

/** The actual path, and the query as sorted pairs: repeated names keep their order. */
function target(request: HttpRequest): { path: string; query: [string, string][] } {
  const url = request.originalUrl ?? request.url;
  const mark = url.indexOf('?');
  if (mark < 0) return { path: url, query: [] };
  const pairs = url
    .slice(mark + 1)
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair): [string, string] => {
      const [name = '', ...value] = pair.split('=');
      return [bytesOf(name), bytesOf(value.join('='))];
    });
  return { path: url.slice(0, mark), query: pairs.toSorted(([a], [b]) => (a < b ? -1 : +(a > b))) };
}

/** One character for each byte: to decode as UTF-8 would make all bytes that are not the same. */
function bytesOf(escaped: string): string {
  return escaped
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** A form and a JSON body of the same meaning are different requests. */
function mediaType(request: HttpRequest): string {
  const type = request.headers['content-type'];
  return typeof type === 'string' ? (type.split(';', 1)[0] ?? '').trim().toLowerCase() : '';
}
