import { InvalidRequestError, shown } from './api.errors';

/**
 * Reads `a=1&b[c]=2&d[]=3&e[0]=4` into `{a: '1', b: {c: '2'}, d: ['3'], e: {0: '4'}}`: bodies and
 * query strings alike. Values are strings; which of them are numbers, lists or hashes is for the
 * parameters to say, so that `metadata[0]=x` stays a hash and `expand[0]=x` becomes a list.
 *
 * Nothing is dropped or guessed: a parameter given twice, one that is both a value and a hash, a
 * name that does not parse, a broken escape and anything past a limit are refused.
 *
 * @throws InvalidRequestError (400)
 */
export function parseForm(text: string): Record<string, unknown> {
  const root: Node = new Map();
  const pairs = text.split('&').filter((pair) => pair !== '');
  if (pairs.length > MAX_PARAMETERS) {
    throw new InvalidRequestError(
      `This request has ${pairs.length} parameters; at most ${MAX_PARAMETERS} are accepted.`,
    );
  }
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    insert(root, pathOf(name), equals < 0 ? '' : decode(pair.slice(equals + 1)), name);
  }
  return toObject(root);
}

/** The most parameters one request may have, and the most brackets one name may have. */
const MAX_PARAMETERS = 1000;
export const MAX_DEPTH = 8;

type Node = Map<string, string | string[] | Node>;

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new InvalidRequestError(
      'A parameter is not percent-encoded UTF-8. Encode names and values, for example % as %25.',
    );
  }
}

/** `a[b][]` → `a`, `b`, ``. */
function pathOf(name: string): string[] {
  const match = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name);
  if (!match) {
    throw new InvalidRequestError(
      `Invalid parameter name: ${shown(name)}. Write a parameter of a hash as hash[name].`,
    );
  }
  const [, first = '', brackets = ''] = match;
  const path = [
    first,
    ...brackets
      .split('[')
      .slice(1)
      .map((part) => part.slice(0, -1)),
  ];
  if (path.length <= MAX_DEPTH) return path;
  throw new InvalidRequestError(
    `${shown(name)} is nested too deeply: at most ${MAX_DEPTH} levels are accepted.`,
  );
}

function insert(root: Node, path: readonly string[], value: string, name: string): void {
  const appends = path.length > 1 && path.at(-1) === '';
  const keys = appends ? path.slice(0, -1) : path;
  if (keys.includes('')) {
    throw new InvalidRequestError(
      `Invalid parameter name: ${shown(name)}. Number the entries of a list: list[0][name].`,
    );
  }
  let node = root;
  for (const key of keys.slice(0, -1)) {
    const next = node.get(key) ?? new Map();
    if (!(next instanceof Map)) throw givenTwice(name);
    node.set(key, next);
    node = next;
  }
  const last = keys.at(-1) ?? '';
  const present = node.get(last);
  if (appends && (present === undefined || Array.isArray(present))) {
    node.set(last, [...(present ?? []), value]);
    return;
  }
  if (present !== undefined) throw givenTwice(name);
  node.set(last, value);
}

function givenTwice(name: string): InvalidRequestError {
  return new InvalidRequestError(
    `The parameter ${shown(name)} was given more than once, or in two different shapes. Send it once.`,
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
