/**
 * What no request may hold, wherever it stands: texts that cannot be stored, card numbers, numbers that
 * are not exact, names that reach a prototype.
 */
import { hasCardNumber } from '../../idempotency';
import { InvalidRequestError, excerpt } from '../errors/api.errors';

/**
 * Checks every name and value, at every depth.
 *
 * @param parent the parameter the hash is the value of
 * @throws InvalidRequestError (400), in which nothing stands that was refused
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
 * Refuses what cannot be stored and what must not be.
 *
 * @param param whose name or value it is; none for a name at the top
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
  if (hasCardNumber(text)) throw cardNumberRefused(param);
}

/**
 * Refuses a URL with a card number in its path: an answer that is stored under a key would repeat it.
 *
 * @param params of the path, by name; `key` is left to R23, whose error says what a key may be
 * @throws InvalidRequestError (400, `card_number_refused`), which repeats neither number nor name
 */
export function refuseCardNumberInPath(params: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(params)) {
    if (name === 'key' || !hasCardNumber(value)) continue;
    throw new InvalidRequestError(
      'This request was refused because its URL holds what looks like a card number, and it was ' +
        'neither stored nor logged. Put the id of an object there, such as cus_123.',
      { code: 'card_number_refused' },
    );
  }
}

/** Whether PostgreSQL can store a text: it refuses NUL, and half a surrogate pair is no character. */
export function isSafeText(text: string): boolean {
  return !/\0|\p{Surrogate}/u.test(text);
}

/** Names that reach an object's prototype instead of a property of its own. */
const RESERVED_NAMES = new Set(['__proto__']);

function requireExact(value: number, param: string): void {
  if (hasCardNumber(String(value))) throw cardNumberRefused(param);
  if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))) return;
  throw new InvalidRequestError(
    `Invalid number: ${param.slice(0, 100)} is too large to be exact.`,
    {
      code: 'parameter_invalid_integer',
      param: param.slice(0, 100),
    },
  );
}

function cardNumberRefused(param: string): InvalidRequestError {
  return new InvalidRequestError(
    'This request was refused because it holds what looks like a card number, and it was neither ' +
      'stored nor logged. Send a payment method token instead, such as pm_card_visa. If the number ' +
      'is something else, put a letter in front of it.',
    { code: 'card_number_refused', ...(param === '' ? {} : { param: param.slice(0, 100) }) },
  );
}
