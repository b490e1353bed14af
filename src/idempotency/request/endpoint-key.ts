/**
 * A key that an endpoint takes from the request itself, such as the id of a webhook's event or of a message. The
 * header is not read, and the sender need not know that there is a key.
 */
import {
  IdempotencyKeyInvalidError,
  IdempotencyKeyMissingError,
} from '../contract/idempotency.errors';
import type { HttpRequest, IdempotentOptions } from '../contract/idempotency.options';
import { MAX_KEY_LENGTH, PRINTABLE_ASCII } from './key-header';

/**
 * Asks the endpoint. Whether the key could be a card number is not checked (R23): many ids are long numbers,
 * and their senders cannot choose others.
 *
 * @throws IdempotencyKeyMissingError where the function finds none or throws, such as for an empty body
 * @throws IdempotencyKeyInvalidError when it is longer than 255 characters, or not printable ASCII
 */
export function keyFrom(
  request: HttpRequest,
  keyOf: NonNullable<IdempotentOptions['key']>,
): string {
  const key = askForKey(request, keyOf);
  if (key.length > MAX_KEY_LENGTH) {
    throw new IdempotencyKeyInvalidError(
      `The id of this request has ${key.length} characters, and at most ${MAX_KEY_LENGTH} are allowed. Nothing was done.`,
    );
  }
  if (!PRINTABLE_ASCII.test(key)) {
    throw new IdempotencyKeyInvalidError(
      'The id of this request may contain printable ASCII characters only. Nothing was done.',
    );
  }
  return key;
}

function askForKey(request: HttpRequest, keyOf: NonNullable<IdempotentOptions['key']>): string {
  let key: unknown;
  try {
    key = keyOf(request);
  } catch (cause) {
    throw new IdempotencyKeyMissingError(NO_ID, { cause });
  }
  if (typeof key !== 'string' || key === '') throw new IdempotencyKeyMissingError(NO_ID);
  return key;
}

const NO_ID =
  'This request has no id by which a second delivery of it could be recognised. Nothing was done. ' +
  'Send it with its id.';
