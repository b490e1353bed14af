/**
 * Values that no request may hold in any place: texts that cannot be stored, card numbers, inexact
 * numbers, names that reach a prototype.
 */
import { hasCardNumber } from '../../idempotency';
import { InvalidRequestError, excerpt } from '../errors/api.errors';

/**
 * Checks every name and value, at every depth.
 *
 * @param parent the parameter whose value the hash is
 * @throws InvalidRequestError (400), which does not repeat the refused value
 */
export function requireHarmless(hash: object, parent = ''): void {
  for (const [name, value] of Object.entries(hash)) {
    requireHarmlessText(name, parent);
    const param = parent === '' ? name : `${parent}[${name}]`;
    if (RESERVED_NAMES.has(name)) {
      throw new InvalidRequestError(`Received unknown parameter: ${excerpt(param)}`, {
        code: 'parameter_unknown',
        param: param.slice(0, 100),
      });
    }
    if (typeof value === 'string') requireHarmlessText(value, param);
    if (typeof value === 'number') requireExact(value, param);
    if (typeof value === 'object' && value !== null) requireHarmless(value, param);
  }
}

/**
 * Refuses text that cannot be stored or must not be stored.
 *
 * @param param the parameter whose name or value it is; empty for a name at the top level
 * @throws InvalidRequestError (400)
 */
export function requireHarmlessText(text: string, param: string): void {
  if (!isSafeText(text)) {
    throw new InvalidRequestError(
      'A parameter holds a NUL character or half a surrogate pair, which cannot be stored. ' +
        'Remove it.',
      param === '' ? {} : { param: param.slice(0, 100) },
    );
  }
  if (hasCardNumber(text)) throw cardNumberError(param);
}

/**
 * Refuses a URL with a card number in its path: a response stored under a key would repeat it.
 *
 * @param params of the path, by name. `key` is not checked here: R23 has its own error for it
 * @throws InvalidRequestError (400, `card_number_refused`), which repeats neither number nor name
 */
export function requireNoCardNumberInPath(params: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(params)) {
    if (name === 'key' || !hasCardNumber(value)) continue;
    throw new InvalidRequestError(
      'This request was refused because its URL holds what looks like a card number, and it was ' +
        'neither stored nor logged. Put the id of an object there, such as cus_123.',
      { code: 'card_number_refused' },
    );
  }
}

/** Whether PostgreSQL can store a text: without NUL, and without half a surrogate pair. */
export function isSafeText(text: string): boolean {
  return !/\0|\p{Surrogate}/u.test(text);
}

/** Names that reach an object's prototype. */
const RESERVED_NAMES = new Set(['__proto__']);

function requireExact(value: number, param: string): void {
  if (hasCardNumber(String(value))) throw cardNumberError(param);
  if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))) return;
  throw new InvalidRequestError(
    `Invalid number: ${param.slice(0, 100)} is too large to be exact.`,
    {
      code: 'parameter_invalid_integer',
      param: param.slice(0, 100),
    },
  );
}

function cardNumberError(param: string): InvalidRequestError {
  return new InvalidRequestError(
    'This request was refused because it holds what looks like a card number, and it was neither ' +
      'stored nor logged. Send a payment method token instead, such as pm_card_visa. If the number ' +
      'is something else, put a letter in front of it.',
    { code: 'card_number_refused', ...(param === '' ? {} : { param: param.slice(0, 100) }) },
  );
}
