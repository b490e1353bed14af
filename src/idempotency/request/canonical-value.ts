/** Writes a value as a text that is the same only for the same value: bodies are compared by it (R7, R7a). */
import {
  isAnyArrayBuffer,
  isBoxedPrimitive,
  isDate,
  isMap,
  isSet,
  isUint8Array,
} from 'node:util/types';
import {
  IdempotencyBodyUnreadableError,
  IdempotencyKeyInvalidError,
} from '../contract/idempotency.errors';

/** Deeper bodies are refused: the canonical form is made by recursion. */
const MAX_DEPTH = 100;

/**
 * JSON with sorted keys: `1` and `"1"` stay distinct, arrays keep their order. What JSON does not know, and
 * a parser may leave, is written with its kind before it.
 *
 * @throws IdempotencyKeyInvalidError for a value nested deeper than 100 levels
 * @throws IdempotencyBodyUnreadableError for what has no value, such as a function, and for a cycle
 */
export function canonicalValue(value: unknown): string {
  return new CanonicalWriter().write(value, 0);
}

class CanonicalWriter {
  /** The objects that the one being written is in, by depth. */
  private readonly around: object[] = [];

  write(value: unknown, depth: number): string {
    if (value === null || typeof value !== 'object') {
      if (depth > MAX_DEPTH) throw tooDeep();
      return writePrimitive(value);
    }
    if (depth > MAX_DEPTH) {
      throw this.around.includes(value) ? unreadable('an object that contains itself') : tooDeep();
    }
    this.around[depth] = value;
    if (Array.isArray(value)) return this.list(value, depth);
    return isPlain(value) ? this.members(value, depth) : this.special(value, depth);
  }

  private list(items: readonly unknown[], depth: number): string {
    return `[${items.map((item) => this.write(item ?? null, depth + 1)).join(',')}]`;
  }

  private members(value: object, depth: number): string {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${this.write(member, depth + 1)}`);
    return `{${members.join(',')}}`;
  }

  /** What is neither plain object nor array. */
  private special(value: object, depth: number): string {
    if (ArrayBuffer.isView(value)) {
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      const kind = isUint8Array(value) ? 'bytes' : kindOfObject(value);
      return `${kind}:${bytes.toString('base64')}`;
    }
    if (isAnyArrayBuffer(value)) return `buffer:${Buffer.from(value).toString('base64')}`;
    if (isDate(value)) return `date:${value.getTime()}`;
    if (isBoxedPrimitive(value)) return this.write(value.valueOf(), depth + 1);
    // Neither has an order that means something; repeated names of a query do.
    if (isSet(value)) return `set:${this.unordered([...value], depth)}`;
    if (isMap(value)) return `map:${this.unordered([...value], depth)}`;
    if (value instanceof URLSearchParams) {
      return `query:${JSON.stringify([...value].toSorted(([a], [b]) => (a < b ? -1 : +(a > b))))}`;
    }
    return this.instance(value, depth);
  }

  private unordered(items: readonly unknown[], depth: number): string {
    return `[${items
      .map((item) => this.write(item ?? null, depth + 1))
      .toSorted()
      .join(',')}]`;
  }

  /** An object of a class: as it writes itself, else by what is seen of it. */
  private instance(value: object, depth: number): string {
    const { toJSON, pipe } = value as { toJSON?: unknown; pipe?: unknown };
    if (typeof pipe === 'function') throw unreadable('a stream');
    if (typeof toJSON === 'function') {
      return `${kindOfObject(value)}:${this.write(toJSON.call(value), depth + 1)}`;
    }
    // A promise, a regular expression or a blob: two of them look the same.
    if (Object.keys(value).length === 0)
      throw unreadable(`an object of type ${kindOfObject(value)}`);
    return this.members(value, depth);
  }
}

function writePrimitive(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return '';
    case 'bigint':
      return `bigint:${value}`;
    case 'number':
      return Number.isFinite(value) ? JSON.stringify(value) : `number:${value}`;
    case 'function':
    case 'symbol':
      throw unreadable(`a ${typeof value}`);
    default:
      return JSON.stringify(value);
  }
}

/** As JSON, forms and queries are parsed: objects of no class, of another realm too. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype === null ||
    prototype === Object.prototype ||
    Object.getPrototypeOf(prototype) === null
  );
}

const kindOfObject = (value: object): string => {
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  return tag === 'Object' ? value.constructor.name : tag;
};

const unreadable = (what: string) =>
  new IdempotencyBodyUnreadableError(
    `The body of this request, once parsed, holds ${what}, which has no value to compare.`,
    'The developer of the endpoint changes the parser, or takes what it leaves out of the body.',
  );

const tooDeep = () =>
  new IdempotencyKeyInvalidError(
    `The body is nested deeper than ${MAX_DEPTH} levels, which an idempotent request may not be.`,
  );

/**
 * The same as it was in form 1, for rows that are stored: it knows bytes, and takes everything else for a plain
 * object.
 */
export function canonicalJson1(value: unknown, depth = 0): string {
  if (depth > MAX_DEPTH) throw tooDeep();
  if (value === undefined) return '';
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (ArrayBuffer.isView(value)) {
    return `bytes:${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}`;
  }
  if (Array.isArray(value)) {
    return `[${value.map((item) => canonicalJson1(item ?? null, depth + 1)).join(',')}]`;
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson1(member, depth + 1)}`);
  return `{${members.join(',')}}`;
}
