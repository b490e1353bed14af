/** The `Idempotency-Key` header: from what arrived to the key it names (R1, R23). */
import type { Server } from 'node:http';
import { hasCardNumber } from '../card-numbers/card-number';
import { IdempotencyKeyInvalidError } from '../contract/idempotency.errors';
import type { HttpRequest } from '../contract/idempotency.options';

const HEADER = 'idempotency-key';
/** Longest key, in characters. */
export const MAX_KEY_LENGTH = 255;
export const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;
/** A string of RFC 8941: quotes and backslashes inside are escaped. */
const STRUCTURED_STRING = /^"((?:[^"\\]|\\["\\])*)"$/;

/**
 * A UUID, also behind letters. One random UUID in 23,000 begins with three groups that would pass for a
 * card number.
 */
const UUID = /(?<!\d)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi;
/** How many headers of a request Node keeps where its server does not say otherwise. */
const HEADERS_KEPT = 1000;

/**
 * Reads the key of a request, bare or as the structured-field string of the IETF draft.
 *
 * @param recovered whether recovery sends the request again, under a key that was accepted once
 * @returns nothing when the header is absent
 * @throws IdempotencyKeyInvalidError when it is empty, too long, not printable ASCII, sent twice, looks
 *   like a card number, or may be among headers that Node dropped
 */
export function readKey(request: HttpRequest, recovered = false): string | undefined {
  const header = request.headers[HEADER];
  if (header === undefined) {
    requireAllHeaders(request);
    return undefined;
  }
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
  if (key.length > MAX_KEY_LENGTH) {
    throw new IdempotencyKeyInvalidError(
      `The Idempotency-Key has ${key.length} characters; at most ${MAX_KEY_LENGTH} are allowed.`,
    );
  }
  if (!PRINTABLE_ASCII.test(key)) {
    throw new IdempotencyKeyInvalidError(
      'The Idempotency-Key may contain printable ASCII characters only.',
    );
  }
  if (!recovered) refuseCardNumber(key);
  return key;
}

/**
 * R23: keys are stored, logged and echoed, and card numbers must not be. UUIDs in a key are no card
 * numbers, whatever their digits.
 *
 * @throws IdempotencyKeyInvalidError without the key in it
 */
export function refuseCardNumber(key: string): void {
  if (!hasCardNumber(key.replace(UUID, 'uuid'))) return;
  throw new IdempotencyKeyInvalidError(
    'The Idempotency-Key looks like a card number, so it was refused, and neither stored nor logged. ' +
      'Send another one, a UUID for example. If the number is something else, put a letter in front ' +
      'of it.',
  );
}

/**
 * A key as it stands in a header, in a form that `readKey` reads back: a key that itself begins with a
 * quote can only be sent as a string.
 */
export function writeKey(key: string): string {
  return key.startsWith('"') ? `"${key.replace(/["\\]/g, '\\$&')}"` : key;
}

/**
 * Node 20 drops headers past a number of them without a word, and the key may be among those. Later
 * versions refuse such a request themselves.
 *
 * @throws IdempotencyKeyInvalidError where it did
 */
function requireAllHeaders(request: HttpRequest): void {
  // net.Server sets it, and its types do not know it.
  // Internals: header-limit
  const socket = (request.raw ?? request).socket as { server?: Partial<Server> } | undefined;
  const kept = socket?.server?.maxHeadersCount ?? HEADERS_KEPT;
  // The raw list is longer than what was kept of it, but not always: it too is cut, at a multiple of 32.
  if (kept === 0 || rawHeaders(request).length < 2 * kept) return;
  throw new IdempotencyKeyInvalidError(
    'This request has so many headers that some were dropped, and an Idempotency-Key may have been ' +
      `among them. Send fewer than ${kept} headers.`,
  );
}

function rawHeaders(request: HttpRequest): readonly string[] {
  return request.raw?.rawHeaders ?? request.rawHeaders ?? [];
}

function timesSent(request: HttpRequest): number {
  const raw = rawHeaders(request);
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
