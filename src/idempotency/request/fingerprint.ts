/**
 * What makes two requests the same (R7, R7a, R7b): a versioned canonical form of method, actual path, sorted
 * query, parsed body with its files, and the host and version that the route declares, hashed with SHA-256.
 * Headers take no part, save those an endpoint names.
 */
import { hash } from 'node:crypto';
import type { HttpRequest } from '../contract/idempotency.options';
import { canonicalJson1, canonicalValue } from './canonical-value';
import type { RequestContent } from './request-content';
import type { RouteSelectors } from './route-selectors';
import type { FileDigest } from './uploaded-files';

/** The canonical form new rows are stored with. Older rows are compared in theirs. */
export const FINGERPRINT_VERSION = 2;

/** How many parameters get a digest of their own; what lies beyond is named "other parameters". */
const MAX_NAMED_PARAMETERS = 64;

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
  /** Default: the parsed body. Form 1 knows nothing else. */
  readonly content?: RequestContent;
}

type CanonicalForm = (request: HttpRequest, compared: Compared) => string;

const CANONICAL_FORMS: Readonly<Record<number, CanonicalForm>> = {
  1: canonicalForm1,
  2: canonicalForm2,
};

/**
 * The fingerprint of a request. Computed before the handler can touch the body.
 *
 * @returns nothing for a version this process does not know (a newer one stored the row)
 * @throws IdempotencyKeyInvalidError for a body nested deeper than 100 levels
 * @throws IdempotencyBodyUnreadableError for a body with something that has no value to compare
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

function canonicalForm1(request: HttpRequest, { headers }: Compared): string {
  try {
    return JSON.stringify([...headOf(request, headers), canonicalJson1(request.body)]);
  } catch {
    return ''; // what this form could not write, no row of it has
  }
}

function canonicalForm2(
  request: HttpRequest,
  { headers, selectors = {}, content }: Compared,
): string {
  const { body, files = [], value } = content ?? { body: request.body };
  const form: unknown[] = headOf(request, headers);
  form.push(canonicalValue(body), selectors.host, selectors.version);
  if (files.length > 0 || value !== undefined) {
    form.push(files.map(({ field, name, type, hash: digest }) => [field, name, type, digest]));
    form.push(canonicalValue(value));
  }
  return JSON.stringify(form);
}

/** What stands before the body in every form. */
function headOf(request: HttpRequest, headers: readonly string[] = []): unknown[] {
  const { path, query } = target(request);
  return [
    request.method,
    path,
    query,
    mediaType(request),
    headers.map((name) => [name.toLowerCase(), String(request.headers[name.toLowerCase()] ?? '')]),
  ];
}

/**
 * Four bytes in hex for each top-level parameter and for `(path)`, to name what differs (R7). As JSON,
 * which is how they are kept. Only for a request that is to be stored, or refused.
 *
 * @param version of the row they are kept in or compared with: form 1 knows no host and no version
 */
export function digestsOf(
  request: HttpRequest,
  { headers = [], selectors = {}, content }: Compared = {},
  version = FINGERPRINT_VERSION,
): string {
  const { path, query } = target(request);
  const parts: [string, string][] = [['(path)', `${request.method} ${path}`]];
  if (query.length > 0) parts.push(['(query)', JSON.stringify(query)]);
  for (const name of headers) {
    parts.push([`(header ${name})`, String(request.headers[name.toLowerCase()] ?? '')]);
  }
  if (version === 1) parts.push(...parametersOf(request.body, canonicalJson1));
  else {
    for (const [name, text] of Object.entries(selectors)) parts.push([`(${name})`, String(text)]);
    const { body, files = [], value } = content ?? { body: request.body };
    parts.push(...parametersOf(body, canonicalValue), ...filesByField(files));
    if (value !== undefined) parts.push(['(fingerprint)', canonicalValue(value)]);
  }
  // fromEntries: a parameter may be called `__proto__`
  return JSON.stringify(
    Object.fromEntries(
      parts.map(([name, text]) => [name, hash('sha256', `${name}\n${text}`).slice(0, 8)]),
    ),
  );
}

/** The parameters of a body, by name, as texts. */
function parametersOf(body: unknown, write: (value: unknown) => string): [string, string][] {
  const named = typeof body === 'object' && body !== null && !Array.isArray(body);
  if (!named || ArrayBuffer.isView(body)) {
    return body === undefined || body === null ? [] : [['(body)', write(body)]];
  }
  const members = Object.entries(body).filter(([, value]) => value !== undefined);
  const parameters = members
    .slice(0, MAX_NAMED_PARAMETERS)
    .map(([name, value]): [string, string] => [forPeople(name), write(value)]);
  const rest = members.slice(MAX_NAMED_PARAMETERS);
  if (rest.length > 0) parameters.push(['other parameters', write(Object.fromEntries(rest))]);
  return parameters;
}

/** The files of a form, by field. */
function filesByField(files: readonly FileDigest[]): [string, string][] {
  const texts = new Map<string, string>();
  for (const { field, ...file } of files) {
    const isNamed = texts.has(`(file ${forPeople(field)})`) || texts.size < MAX_NAMED_PARAMETERS;
    const name = isNamed ? `(file ${forPeople(field)})` : 'other files';
    texts.set(name, `${texts.get(name) ?? ''}${JSON.stringify([field, file])}`);
  }
  return [...texts];
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
