/** Raw values of a request, as a form or JSON has them, read as values of one type or refused. */
import { excerpt } from '../errors/api.errors';

/** What a refused value becomes on its way from the coercion to the validation pipe. */
export class Refusal {
  /**
   * @param message says what to do, given the parameter's name
   * @param path what to append to the parameter's name, e.g. `[0]`
   */
  constructor(
    readonly message: (param: string) => string,
    readonly code?: string,
    readonly path = '',
  ) {}
}

/** The integer a raw value stands for. */
export function integerOf(raw: unknown): number | Refusal {
  const digits = typeof raw === 'string' && /^[+-]?\d{1,16}$/.test(raw);
  const value = digits ? Number(raw) : raw;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  return new Refusal(() => `Invalid integer: ${excerpt(raw)}`, 'parameter_invalid_integer');
}

/** The string of at most `max` UTF-16 units that a raw value is. */
export function textOf(raw: unknown, max: number): string | Refusal {
  if (typeof raw !== 'string') {
    return new Refusal((param) => `Invalid string: ${excerpt(raw)}. Send ${param} as a string.`);
  }
  if (raw.length <= max) return raw;
  return new Refusal(
    (param) =>
      `Invalid string: ${excerpt(raw)}; ${param} takes at most ${max} characters and this has ` +
      `${raw.length}.`,
  );
}

/** The entries of a list, whichever way it was written; undefined where it is none. */
export function entriesOf(raw: unknown): unknown[] | undefined {
  if (Array.isArray(raw)) return raw;
  if (!isHash(raw) || !Object.keys(raw).every((key) => /^\d{1,4}$/.test(key))) return undefined;
  return Object.entries(raw)
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([, value]) => value);
}

export function isHash(raw: unknown): raw is Record<string, unknown> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}

/** Refuses a value that should have been a hash. */
export function notAHashRefusal(): Refusal {
  return new Refusal(
    (param) => `Invalid object: ${param} must be a hash, for example ${param}[key]=value.`,
  );
}

/** Refuses a value that cannot be unset. */
export function emptyRefusal(): Refusal {
  return new Refusal(
    (param) =>
      `You passed an empty string for '${param}'. We assume empty values are an attempt to unset a ` +
      `parameter; however '${param}' cannot be unset. You should remove '${param}' from your ` +
      'request or supply a non-empty value.',
    'parameter_invalid_empty',
  );
}
