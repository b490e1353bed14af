/** Raw values of a request, as a form or JSON has them, read as values of one type or refused. */
import { shown } from '../errors/api.errors';

/** What a refused value becomes on its way from the coercion to the validation pipe. */
export class Refused {
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
export function integerOf(raw: unknown): number | Refused {
  const digits = typeof raw === 'string' && /^[+-]?\d{1,16}$/.test(raw);
  const value = digits ? Number(raw) : raw;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  return new Refused(() => `Invalid integer: ${shown(raw)}`, 'parameter_invalid_integer');
}

/** The string of at most `max` UTF-16 units that a raw value is. */
export function textOf(raw: unknown, max: number): string | Refused {
  if (typeof raw !== 'string') {
    return new Refused((param) => `Invalid string: ${shown(raw)}. Send ${param} as a string.`);
  }
  if (raw.length <= max) return raw;
  return new Refused(
    (param) =>
      `Invalid string: ${shown(raw)}; ${param} takes at most ${max} characters and this has ` +
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
export function notAHash(): Refused {
  return new Refused(
    (param) => `Invalid object: ${param} must be a hash, for example ${param}[key]=value.`,
  );
}

/** Refuses a value that cannot be unset. */
export function emptyRefused(): Refused {
  return new Refused(
    (param) =>
      `You passed an empty string for '${param}'. We assume empty values are an attempt to unset a ` +
      `parameter; however '${param}' cannot be unset. You should remove '${param}' from your ` +
      'request or supply a non-empty value.',
    'parameter_invalid_empty',
  );
}
