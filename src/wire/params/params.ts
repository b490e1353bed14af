/**
 * Decorators for the parameters of a request. Each one turns what arrives (a string in a form, a
 * JSON type in a JSON body) into a value of one type, or refuses it with the error Stripe answers.
 * They build on class-validator, so a class may mix them with that package's own decorators; the
 * coercion is ours, because class-transformer walks into hashes whose keys callers choose and fails
 * on one named `constructor`.
 *
 * Every parameter is optional unless it says `required`. `key=` in a form and null in JSON mean
 * "unset": a parameter that says `unsettable` becomes null, any other refuses it.
 *
 * Each one also says in JSON Schema what it accepts, and the OpenAPI document is made of that. Whatever
 * the schema lets pass, the parameter accepts; it is more lenient with what forms and SDKs send instead
 * (numbers as strings, lists as hashes).
 */
import { ValidateBy } from 'class-validator';
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
  /** What it is for, in a sentence for the OpenAPI document. */
  readonly description?: string;
}

/** Turns a raw value, never undefined, null or empty, into the parameter's or refuses it. */
export type Coercion = (raw: unknown) => unknown;

/** An empty string unsets, so it is no value. */
const FILLED = { minLength: 1 };
const MAX_ENTRY_LENGTH = 500;

/** Where a parameter keeps its coercion, and one that is a hash the class of its own parameters. */
const COERCION = Symbol('paidonce:coercion');
const NESTED = Symbol('paidonce:nested-params');

/** What the OpenAPI document says of a parameter. */
export interface DeclaredParam extends ParamOptions {
  /** The prototype of its class. */
  readonly target: object;
  readonly property: string;
  readonly schema: JsonSchema;
  /** The class of a hash's own parameters. */
  readonly nested?: () => new () => object;
}

/** Every parameter there is; those of a class before those of one that extends it. */
export const declaredParams: DeclaredParam[] = [];

/**
 * A parameter with a rule of its own; the decorators below are made with it.
 *
 * @param schema what it accepts, null apart
 */
export function Param(
  coerce: Coercion,
  schema: JsonSchema,
  options: ParamOptions = {},
  nested?: () => new () => object,
): PropertyDecorator {
  const settle = (raw: unknown): unknown => {
    if (raw === undefined) return undefined;
    if (raw !== null && raw !== '') return coerce(raw);
    return options.unsettable ? null : emptyRefusal();
  };
  return (target, property) => {
    declaredParams.push({ target, property: String(property), schema, nested, ...options });
    Reflect.defineMetadata(COERCION, settle, target, property);
    if (nested) Reflect.defineMetadata(NESTED, nested, target, property);
    ValidateBy({
      name: 'param',
      validator: {
        validate: (value) =>
          !(value instanceof Refusal) && !(value === undefined && options.required),
      },
    })(target, property);
  };
}

/**
 * A string.
 *
 * @param options.max longest length accepted, in UTF-16 units; 5000 by default
 */
export function IsText(options: ParamOptions & { readonly max?: number } = {}): PropertyDecorator {
  const max = options.max ?? 5000;
  return Param((raw) => textOf(raw, max), { type: 'string', ...FILLED, maxLength: max }, options);
}

/** A whole number, also as the string a form sends. Bounds are included. */
export function IsInteger(
  options: ParamOptions & { readonly min?: number; readonly max?: number } = {},
): PropertyDecorator {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = options;
  return Param(
    (raw) => {
      const value = integerOf(raw);
      if (value instanceof Refusal) return value;
      if (value < min) return outOfRange('greater', min, value);
      if (value > max) return outOfRange('less', max, value);
      return value;
    },
    { type: 'integer', minimum: min, maximum: max },
    options,
  );
}

/** True or false, also as the strings a form sends. */
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
      return notOneOf(values, raw);
    },
    { type: 'string', enum: values },
    options,
  );
}

/** An email address: something, an @ and something, without spaces. */
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
 * @param options.max most entries accepted, 100 by default
 * @param options.of the only strings accepted, where there are but a few
 */
export function IsTextList(
  options: ParamOptions & { readonly max?: number; readonly of?: readonly string[] } = {},
): PropertyDecorator {
  const { max = 100, of } = options;
  const entry = of ? { enum: of } : { ...FILLED, maxLength: MAX_ENTRY_LENGTH };
  return Param(
    (raw) => textListOf(raw, max, of),
    { type: 'array', items: { type: 'string', ...entry }, maxItems: max },
    options,
  );
}

/** A hash with parameters of its own, such as `address[line1]`. */
export function IsObjectOf(
  type: () => new () => object,
  options: ParamOptions = {},
): PropertyDecorator {
  return Param((raw) => (isHash(raw) ? raw : notAHashRefusal()), {}, options, type);
}

/** What turns the raw value of a parameter into its own; nothing for one without our decorators. */
export function coercionOf(type: object, property: string): Coercion | undefined {
  return Reflect.getMetadata(COERCION, type, property) as Coercion | undefined;
}

/** The class of a hash's own parameters, where `property` is one. */
export function nestedType(type: object, property: string): (new () => object) | undefined {
  const nested = Reflect.getMetadata(NESTED, type, property) as
    (() => new () => object) | undefined;
  return nested?.();
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
      return new Refusal(notOneOf(of, text).message, undefined, `[${index}]`);
    }
    texts.push(text);
  }
  return texts;
}

function notOneOf(values: readonly string[], raw: unknown): Refusal {
  return new Refusal(
    (param) => `Invalid ${param}: must be one of ${values.join(', ')}; received ${excerpt(raw)}.`,
  );
}

function outOfRange(side: 'greater' | 'less', bound: number, value: number): Refusal {
  return new Refusal(
    (param) =>
      `Invalid ${param}: this value must be ${side} than or equal to ${bound} (it currently is ` +
      `${value}).`,
    'parameter_invalid_integer',
  );
}
