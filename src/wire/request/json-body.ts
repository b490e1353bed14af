/** Reads a JSON object of parameters, within the limits of a form. */
import { InvalidRequestError } from '../errors/api.errors';
import { MAX_DEPTH, nestingError, limitParameters } from './body-limits';

/**
 * The parameters in a JSON body. If a name stands twice in one object, the last value counts, as in
 * JavaScript.
 *
 * @param bytes the text in UTF-8. Its values are counted before it is parsed, because many small values
 *   take a hundred times the memory of their bytes
 * @throws InvalidRequestError (400)
 */
export function parseJson(text: string, bytes: Uint8Array): Record<string, unknown> {
  const { values, depth } = extentOf(bytes);
  if (depth > MAX_DEPTH) throw nestingError('The parameters are');
  limitParameters(values);
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

/**
 * Counts values and levels of JSON text in one pass over its bytes. There is one value more than there
 * are commas, whatever the nesting.
 *
 * @returns `values`, empty hashes and lists included, and the `depth` of hashes and lists. If the text is
 *   not JSON, the numbers mean nothing
 */
export function extentOf(bytes: Uint8Array): { readonly values: number; readonly depth: number } {
  let commas = 0;
  let open = 0;
  let depth = 0;
  let inText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) inText = !inText;
    else if (inText) {
      if (byte === BACKSLASH) at += 1;
    } else if (byte === COMMA) commas += 1;
    else if (byte === OPEN_LIST || byte === OPEN_HASH) {
      open += 1;
      if (open > depth) depth = open;
    } else if (byte === CLOSE_LIST || byte === CLOSE_HASH) open -= 1;
  }
  return { values: commas + 1, depth };
}

const [QUOTE, BACKSLASH, COMMA, OPEN_LIST, OPEN_HASH, CLOSE_LIST, CLOSE_HASH] =
  Buffer.from('"\\,[{]}');
