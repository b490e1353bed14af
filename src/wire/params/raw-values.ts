/** Reads raw values, as a form or JSON has them, as values of one type or refuses them. */
import { excerpt } from '../errors/api.errors';
import type { ErrorCode } from '../errors/error-table';

/** What a coercion returns for a value that it refuses. The validation pipe throws its error. */
export class Refusal {
  /**
   * @param message of the error, from the parameter's name
   * @param path of the refused part within the parameter, e.g. `[0]`
   */
  constructor(
    readonly message: (param: string) => string,
    readonly code?: ErrorCode,
    readonly path = '',
  ) {}
}

/** A raw value as an integer: a number, or a string of its digits. */
export function integerOf(raw: unknown): number | Refusal {
  const digits = typeof raw === 'string' && /^[+-]?\d{1,16}$/.test(raw);
  const value = digits ? Number(raw) : raw;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  return new Refusal(() => `Invalid integer: ${excerpt(raw)}`, 'parameter_invalid_integer');
}

/** A raw value as a string of at most `max` UTF-16 units. */
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

/** The entries of a list, written as an array or as a hash of indices; undefined for any other value. */
export function entriesOf(raw: unknown): unknown[] | undefined {
  if (Array.isArray(raw)) return raw;
  if (!isHash(raw) || !Object.keys(raw).every((key) => /^\d{1,4}$/.test(key))) return undefined;
  return Object.entries(raw)
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([, value]) => value);
}

/** Whether a raw value is a hash. */
export function isHash(raw: unknown): raw is Record<string, unknown> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}

/** The refusal of a value that should be a hash. */
export function notAHashRefusal(): Refusal {
  return new Refusal(
    (param) => `Invalid object: ${param} must be a hash, for example ${param}[key]=value.`,
  );
}

/** The refusal of an empty value for a parameter that cannot be unset. */
export function emptyRefusal(): Refusal {
  return new Refusal(
    (param) =>
      `You passed an empty string for '${param}'. We assume empty values are an attempt to unset a ` +
      `parameter; however '${param}' cannot be unset. You should remove '${param}' from your ` +
      'request or supply a non-empty value.',
    'parameter_invalid_empty',
  );
}
