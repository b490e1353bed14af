/** Reads form-encoded text: bodies and query strings. */
import { InvalidRequestError, excerpt } from '../errors/api.errors';
import { MAX_DEPTH, nestingError, limitParameters } from './body-limits';
import { requireHarmlessText } from './harmless-values';

/**
 * Reads `a=1&b[c]=2&d[]=3&e[0]=4` into `{a: '1', b: {c: '2'}, d: ['3'], e: {0: '4'}}`. Values are
 * strings. The declared parameters decide later which of them are numbers, lists or hashes, so that
 * `metadata[0]=x` stays a hash and `expand[0]=x` becomes a list.
 *
 * Nothing is dropped or guessed. Refused are a parameter given twice, one that is both a value and a
 * hash, a name that does not parse, a broken escape, and anything over a limit.
 *
 * @throws InvalidRequestError (400)
 */
export function parseForm(text: string): Record<string, unknown> {
  const root: Node = new Map();
  limitParameters(countPairs(text));
  const pairs = (text.match(/[^&]+/g) ?? []).map((pair) => {
    const equals = pair.indexOf('=');
    if (equals < 0) return { name: decode(pair), value: '' };
    return { name: decode(pair.slice(0, equals)), value: decode(pair.slice(equals + 1)) };
  });
  // Errors below repeat a name, and no error may repeat a card number.
  for (const { name } of pairs) requireHarmlessText(name, '');
  for (const { name, value } of pairs) insert(root, pathOf(name), value, name);
  return toObject(root);
}

type Node = Map<string, string | string[] | Node>;

/** Counts before the text is split: half a million pairs would take a hundred times their bytes. */
function countPairs(text: string): number {
  let pairs = 0;
  let before = AMPERSAND;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (before === AMPERSAND && unit !== AMPERSAND) pairs += 1;
    before = unit;
  }
  return pairs;
}

const AMPERSAND = 0x26;

function decode(text: string): string {
  try {
    // For a megabyte of pluses replaceAll takes four times as long.
    return decodeURIComponent(text.split('+').join(' '));
  } catch {
    throw new InvalidRequestError(
      'A parameter is not percent-encoded UTF-8. Encode names and values, for example % as %25.',
    );
  }
}

/** `a[b][]` → `a`, `b`, ``. */
function pathOf(name: string): string[] {
  // Before the regular expression: there may be half a million brackets.
  if (name.split('[', MAX_DEPTH + 1).length > MAX_DEPTH) throw nestingError(`${excerpt(name)} is`);
  const match = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name);
  if (!match) {
    throw new InvalidRequestError(
      `Invalid parameter name: ${excerpt(name)}. Write a parameter of a hash as hash[name].`,
    );
  }
  const [, first = '', brackets = ''] = match;
  return [
    first,
    ...brackets
      .split('[')
      .slice(1)
      .map((part) => part.slice(0, -1)),
  ];
}

function insert(root: Node, path: readonly string[], value: string, name: string): void {
  const appends = path.length > 1 && path.at(-1) === '';
  const keys = appends ? path.slice(0, -1) : path;
  if (keys.includes('')) {
    throw new InvalidRequestError(
      `Invalid parameter name: ${excerpt(name)}. Number the entries of a list: list[0][name].`,
    );
  }
  let node = root;
  for (const key of keys.slice(0, -1)) {
    const next = node.get(key) ?? new Map();
    if (!(next instanceof Map)) throw duplicateError(name);
    node.set(key, next);
    node = next;
  }
  const last = keys.at(-1) ?? '';
  const present = node.get(last);
  if (appends && Array.isArray(present)) {
    present.push(value);
    return;
  }
  if (present !== undefined) throw duplicateError(name);
  node.set(last, appends ? [value] : value);
}

function duplicateError(name: string): InvalidRequestError {
  return new InvalidRequestError(
    `The parameter ${excerpt(name)} was given more than once, or in two different shapes. Send it once.`,
    { param: name.slice(0, 100) },
  );
}

function toObject(node: Node): Record<string, unknown> {
  const entries = [...node].map(([key, value]) => [
    key,
    value instanceof Map ? toObject(value) : value,
  ]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}
