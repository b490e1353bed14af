/**
 * Decorators for the parameters of a request. Each one turns the raw value (a string in a form, a JSON
 * type in JSON) into a value of one type, or refuses it with Stripe's error.
 *
 * The decorators fill one list, which the validation pipe walks and the OpenAPI document shows. A class may
 * use class-validator's own decorators too; they run after these. The coercion is our own, because
 * class-transformer descends into hashes with free keys and fails on a key named `constructor`.
 *
 * A parameter is optional unless it is `required`. `key=` in a form and null in JSON mean "unset": an
 * `unsettable` parameter becomes null, any other refuses it.
 *
 * Each decorator also has a JSON Schema for the OpenAPI document. The parameter accepts every value that
 * the schema allows, and also the forms that SDKs send (numbers as strings, lists as hashes).
 */
import { excerpt } from '../errors/api.errors';
import type { JsonSchema } from '../schema/schema';
import {
  emptyRefusal,
  entriesOf,
  integerOf,
  isHash,
  notAHashRefusal,
  Refusal,
  textOf,
} from './raw-values';

export interface ParamOptions {
  readonly required?: boolean;
  readonly unsettable?: boolean;
  /** Its purpose, in a sentence for the OpenAPI document. */
  readonly description?: string;
}

/** Turns a raw value, which is never undefined, null or empty, into the parameter's value or a `Refusal`. */
export type Coercion = (raw: unknown) => unknown;

/** An empty string means "unset", so it is not a value. */
const NOT_EMPTY = { minLength: 1 };
const MAX_ENTRY_LENGTH = 500;

/** A class of parameters. */
export type ParamsClass = new () => object;

/** A parameter as its decorator declares it. */
export interface DeclaredParam extends ParamOptions {
  /** The prototype of its class. */
  readonly target: object;
  readonly property: string;
  /** Takes null and an empty string too, which mean "unset". */
  readonly coerce: Coercion;
  readonly schema: JsonSchema;
  /** The class of the parameters of a hash. */
  readonly nested?: () => ParamsClass;
}

/** All declared parameters. Those of a class stand before those of its subclasses. */
export const declaredParams: DeclaredParam[] = [];

/** The parameters of a class in the order in which they are checked: its own, then the inherited ones. */
export function paramsOf({ prototype }: ParamsClass): readonly DeclaredParam[] {
  const own = declaredParams.filter(({ target }) => target === prototype);
  const inherited = declaredParams.filter(({ target }) =>
    Object.prototype.isPrototypeOf.call(target, prototype as object),
  );
  // The nearest declaration of a property holds.
  const holding = new Map([...inherited, ...own].map((param) => [param.property, param]));
  return [...new Set([...own, ...inherited].map(({ property }) => holding.get(property)!))];
}

/**
 * A parameter with a rule of its own. The other decorators are made with it.
 *
 * @param schema of accepted values, null excepted
 * @param nested the class of its own parameters, if the value is a hash of them
 */
export function Param(
  coerce: Coercion,
  schema: JsonSchema,
  options: ParamOptions = {},
  nested?: () => ParamsClass,
): PropertyDecorator {
  const coerceOrUnset = (raw: unknown): unknown => {
    if (raw !== null && raw !== '') return coerce(raw);
    return options.unsettable ? null : emptyRefusal();
  };
  return (target, name) => {
    const property = String(name);
    declaredParams.push({ target, property, coerce: coerceOrUnset, schema, nested, ...options });
  };
}

/**
 * A string.
 *
 * @param options.max greatest length, in UTF-16 units; 5000 by default
 */
export function IsText(options: ParamOptions & { readonly max?: number } = {}): PropertyDecorator {
  const max = options.max ?? 5000;
  return Param(
    (raw) => textOf(raw, max),
    { type: 'string', ...NOT_EMPTY, maxLength: max },
    options,
  );
}

/** A whole number, or its digits in a string, as a form sends it. The bounds are accepted. */
export function IsInteger(
  options: ParamOptions & { readonly min?: number; readonly max?: number } = {},
): PropertyDecorator {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = options;
  return Param(
    (raw) => {
      const value = integerOf(raw);
      if (value instanceof Refusal) return value;
      if (value < min) return outOfRangeRefusal('greater', min, value);
      if (value > max) return outOfRangeRefusal('less', max, value);
      return value;
    },
    { type: 'integer', minimum: min, maximum: max },
    options,
  );
}

/** True or false, or these words in a string, as a form sends them. */
export function IsFlag(options: ParamOptions = {}): PropertyDecorator {
  return Param(
    (raw) => {
      if (raw === true || raw === 'true') return true;
      if (raw === false || raw === 'false') return false;
      return new Refusal(
        (param) => `Invalid boolean: ${excerpt(raw)}. Send ${param} as true or false.`,
      );
    },
    { type: 'boolean' },
    options,
  );
}

/** One of a few strings. */
export function IsOneOf(values: readonly string[], options: ParamOptions = {}): PropertyDecorator {
  return Param(
    (raw) => {
      if (typeof raw === 'string' && values.includes(raw)) return raw;
      return notOneOfRefusal(values, raw);
    },
    { type: 'string', enum: values },
    options,
  );
}

/** An email address: text on both sides of one @, without spaces; at most 512 UTF-16 units. */
export function IsEmailAddress(options: ParamOptions = {}): PropertyDecorator {
  const address = /^[^\s@]+@[^\s@]+$/;
  const max = 512;
  return Param(
    (raw) => {
      const text = textOf(raw, max);
      if (text instanceof Refusal || address.test(text)) return text;
      return new Refusal(() => `Invalid email address: ${excerpt(raw)}`, 'email_invalid');
    },
    { type: 'string', pattern: address.source, maxLength: max },
    options,
  );
}

/**
 * A list of strings: a JSON array, `name[]=…` or `name[0]=…`.
 *
 * @param options.max greatest number of entries; 100 by default
 * @param options.of the accepted strings; any by default
 */
export function IsTextList(
  options: ParamOptions & { readonly max?: number; readonly of?: readonly string[] } = {},
): PropertyDecorator {
  const { max = 100, of } = options;
  const entry = of ? { enum: of } : { ...NOT_EMPTY, maxLength: MAX_ENTRY_LENGTH };
  return Param(
    (raw) => textListOf(raw, max, of),
    { type: 'array', items: { type: 'string', ...entry }, maxItems: max },
    options,
  );
}

/**
 * A hash with parameters of its own, such as `address[line1]`.
 *
 * @param type returns the class of these parameters
 */
export function IsObjectOf(type: () => ParamsClass, options: ParamOptions = {}): PropertyDecorator {
  return Param((raw) => (isHash(raw) ? raw : notAHashRefusal()), {}, options, type);
}

function textListOf(raw: unknown, max: number, of?: readonly string[]): string[] | Refusal {
  const entries = entriesOf(raw);
  if (!entries) {
    return new Refusal(
      (param) => `Invalid array: send ${param} as a list, for example ${param}[]=value.`,
    );
  }
  if (entries.length > max) {
    return new Refusal((param) => `Array too long: ${param} takes at most ${max} entries.`);
  }
  const texts: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const text = entry === '' || entry === null ? emptyRefusal() : textOf(entry, MAX_ENTRY_LENGTH);
    if (text instanceof Refusal) return new Refusal(text.message, text.code, `[${index}]`);
    if (of && !of.includes(text)) {
      return new Refusal(notOneOfRefusal(of, text).message, undefined, `[${index}]`);
    }
    texts.push(text);
  }
  return texts;
}

function notOneOfRefusal(values: readonly string[], raw: unknown): Refusal {
  return new Refusal(
    (param) => `Invalid ${param}: must be one of ${values.join(', ')}; received ${excerpt(raw)}.`,
  );
}

function outOfRangeRefusal(side: 'greater' | 'less', bound: number, value: number): Refusal {
  return new Refusal(
    (param) =>
      `Invalid ${param}: this value must be ${side} than or equal to ${bound} (it currently is ` +
      `${value}).`,
    'parameter_invalid_integer',
  );
}
