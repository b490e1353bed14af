/** The `Idempotency-Key` header: from what arrived to the key it names (R1). */
import { IdempotencyKeyInvalidError } from './idempotency.errors';
import type { HttpRequest } from './idempotency.options';

const HEADER = 'idempotency-key';
/** Longest key, in characters. */
const MAX_LENGTH = 255;
const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;
/** A string of RFC 8941: quotes and backslashes inside are escaped. */
const STRUCTURED_STRING = /^"((?:[^"\\]|\\["\\])*)"$/;

/**
 * Reads the key of a request, bare or as the structured-field string of the IETF draft.
 *
 * @returns nothing when the header is absent
 * @throws IdempotencyKeyInvalidError when it is empty, too long, not printable ASCII, or sent twice
 */
export function readKey(request: HttpRequest): string | undefined {
  const header = request.headers[HEADER];
  if (header === undefined) return undefined;
  // Node joins repeated headers with a comma, which a key may contain: only the raw list can tell.
  if (Array.isArray(header) || timesSent(request) > 1) {
    throw new IdempotencyKeyInvalidError(
      'The Idempotency-Key header was sent more than once. Send exactly one.',
    );
  }
  const key = header.startsWith('"') ? unquote(header) : header;
  if (key.length === 0) {
    throw new IdempotencyKeyInvalidError(
      'The Idempotency-Key header is empty. Send 1 to 255 characters, a UUID for example.',
    );
  }
  if (key.length > MAX_LENGTH) {
    throw new IdempotencyKeyInvalidError(
      `The Idempotency-Key has ${key.length} characters; at most ${MAX_LENGTH} are allowed.`,
    );
  }
  if (!PRINTABLE_ASCII.test(key)) {
    throw new IdempotencyKeyInvalidError(
      'The Idempotency-Key may contain printable ASCII characters only.',
    );
  }
  return key;
}

/**
 * A key as it stands in a header, in a form that `readKey` reads back: a key that itself begins with a
 * quote can only be sent as a string.
 */
export function writeKey(key: string): string {
  return key.startsWith('"') ? `"${key.replace(/["\\]/g, '\\$&')}"` : key;
}

function timesSent(request: HttpRequest): number {
  const raw = request.raw?.rawHeaders ?? request.rawHeaders ?? [];
  let times = 0;
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]?.length === HEADER.length && raw[i]?.toLowerCase() === HEADER) times += 1;
  }
  return times;
}

function unquote(header: string): string {
  const inner = STRUCTURED_STRING.exec(header)?.[1];
  if (inner === undefined) {
    throw new IdempotencyKeyInvalidError(
      'The Idempotency-Key begins with a quote but is not a quoted string. ' +
        'Send the key bare, or as "key" with quotes and backslashes inside it escaped.',
    );
  }
  return inner.replace(/\\(["\\])/g, '$1');
}
