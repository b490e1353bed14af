/**
 * From bytes to parameters: what arrives is either a hash of well-formed, harmless values or a 400
 * that says what is wrong with it. No value that was refused stands in the message.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { InvalidRequestError, shown } from './api.errors';
import { hasCardNumber } from '../idempotency';
import { MAX_DEPTH, parseForm } from './form.body';

/**
 * The parameters in a body.
 *
 * @param headers of the request, of which `content-type` and `content-encoding` count
 * @throws InvalidRequestError 400, or 415 for a type, charset or encoding that is not read
 */
export function readBody(body: Buffer, headers: IncomingHttpHeaders): Record<string, unknown> {
  if (body.length === 0) return {};
  requireNoEncoding(headers['content-encoding']);
  const [type = '', ...attributes] = (headers['content-type'] ?? '')
    .split(';')
    .map((part) => part.trim());
  const read = READERS.get(type.toLowerCase());
  if (!read) {
    throw new InvalidRequestError(
      `${type === '' ? 'A body without a Content-Type' : `The Content-Type ${shown(type)}`} cannot ` +
        'be read. Send application/x-www-form-urlencoded or application/json.',
      {},
      415,
    );
  }
  for (const attribute of attributes) requireUtf8(attribute);
  const parameters = read(textOf(body));
  requireHarmless(parameters, '', 1);
  return parameters;
}

/**
 * The parameters in a URL's query.
 *
 * @param query what follows the question mark
 * @throws InvalidRequestError 400
 */
export function readQuery(query: string): Record<string, unknown> {
  const parameters = parseForm(query);
  requireHarmless(parameters, '', 1);
  return parameters;
}

/** Whether PostgreSQL can store a text: it refuses NUL, and half a surrogate pair is no character. */
export function isSafeText(text: string): boolean {
  return !/\0|\p{Surrogate}/u.test(text);
}

const READERS: ReadonlyMap<string, (text: string) => Record<string, unknown>> = new Map([
  ['application/x-www-form-urlencoded', parseForm],
  ['application/json', parseJson],
]);

function requireNoEncoding(encoding: string | undefined): void {
  if (encoding === undefined || /^(identity)?$/i.test(encoding.trim())) return;
  throw new InvalidRequestError(
    `A body with Content-Encoding: ${shown(encoding)} cannot be read. Send it uncompressed, without ` +
      'that header.',
    {},
    415,
  );
}

function requireUtf8(attribute: string): void {
  const [name, value = ''] = attribute.split('=').map((part) => part.trim().toLowerCase());
  if (name !== 'charset' || /^"?(utf-?8|us-ascii)"?$/.test(value)) return;
  throw new InvalidRequestError(
    `The charset ${shown(value)} cannot be read. Send the body as UTF-8.`,
    {},
    415,
  );
}

function textOf(body: Buffer): string {
  try {
    // Drops a byte order mark.
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new InvalidRequestError('The request body is not valid UTF-8.');
  }
}

/** Of a name that stands twice in one JSON object the last one counts, as in every JavaScript. */
function parseJson(text: string): Record<string, unknown> {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // The position, but not the message: it quotes the body.
    const [, position] = /at position (\d+)/.exec((error as Error).message) ?? [];
    const where = position === undefined ? '' : ` (at character ${position})`;
    throw new InvalidRequestError(`The request body is not valid JSON${where}.`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new InvalidRequestError(
    'The request body must be a JSON object with the parameters, for example {"amount": 1099}.',
  );
}

/** Names that reach an object's prototype instead of a property of its own. */
const RESERVED_NAMES = new Set(['__proto__']);

/** Checks every name and value, at every depth. */
function requireHarmless(hash: object, parent: string, depth: number): void {
  if (depth > MAX_DEPTH) {
    throw new InvalidRequestError(
      `The parameters are nested too deeply: at most ${MAX_DEPTH} levels are accepted.`,
    );
  }
  for (const [name, value] of Object.entries(hash)) {
    requireHarmlessText(name, parent);
    const param = parent === '' ? name : `${parent}[${name}]`;
    if (RESERVED_NAMES.has(name)) {
      throw new InvalidRequestError(`Received unknown parameter: ${shown(param)}`, {
        code: 'parameter_unknown',
        param: param.slice(0, 100),
      });
    }
    if (typeof value === 'string') requireHarmlessText(value, param);
    if (typeof value === 'number') requireExact(value, param);
    if (typeof value === 'object' && value !== null) requireHarmless(value, param, depth + 1);
  }
}

function requireHarmlessText(text: string, param: string): void {
  if (!isSafeText(text)) {
    throw new InvalidRequestError(
      'A parameter holds a NUL character or half a surrogate pair, which cannot be stored. ' +
        'Remove it.',
      param === '' ? {} : { param: param.slice(0, 100) },
    );
  }
  if (hasCardNumber(text)) throw cardNumberRefused(param);
}

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
