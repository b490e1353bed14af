/** Reads a JSON object, of which no more is made than a form could say. */
import { InvalidRequestError } from '../errors/api.errors';
import { MAX_DEPTH, nestedTooDeeply, requireFewParameters } from './body-limits';

/**
 * The parameters in a JSON body. Of a name that stands twice in one object the last one counts, as in
 * every JavaScript.
 *
 * @param bytes the same in UTF-8; what is in them is counted before anything is made of it, because
 *   many small values cost a hundred times what their bytes do
 * @throws InvalidRequestError (400)
 */
export function parseJson(text: string, bytes: Uint8Array): Record<string, unknown> {
  const { values, depth } = extentOf(bytes);
  if (depth > MAX_DEPTH) throw nestedTooDeeply('The parameters are');
  requireFewParameters(values);
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
 * How much JSON text says, in one pass over its bytes: however hashes and lists lie within each other,
 * there is one value more than there are commas.
 *
 * @returns `values`, with those that are empty hashes or lists, and `depth` of hashes and lists; of what
 *   is no JSON, numbers of no meaning
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
