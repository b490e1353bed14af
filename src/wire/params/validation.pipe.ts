/** Turns a raw body or query into the class of its parameters. */
import { Injectable, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import { getMetadataStorage, validateSync } from 'class-validator';
import { InvalidRequestError } from '../errors/api.errors';
import { type DeclaredParam, paramsOf, type ParamsClass } from './params';
import { isHash, Refusal } from './raw-values';

/**
 * Turns a body or query into the class that the handler names, or refuses it with the first error in
 * Stripe's words: unknown parameters first, then each parameter in the order of the class, then the rules
 * of class-validator, then the parameters of hashes. It runs before the handler, so a refusal is not stored
 * (R14).
 *
 * @throws InvalidRequestError (400)
 */
@Injectable()
export class WireValidationPipe implements PipeTransform {
  transform(value: unknown, { type, metatype }: ArgumentMetadata): unknown {
    if ((type !== 'body' && type !== 'query') || !isParamsClass(metatype)) return value;
    const raw = value ?? {};
    if (!isHash(raw)) throw new InvalidRequestError('The request body must be an object.');
    return bind(metatype, raw, '');
  }
}

function isParamsClass(metatype: unknown): metatype is ParamsClass {
  const primitives: readonly unknown[] = [String, Number, Boolean, Array, Object];
  return typeof metatype === 'function' && !primitives.includes(metatype);
}

/** @param parent the parameter whose value the hash is; empty at the top level */
function bind(type: ParamsClass, raw: Record<string, unknown>, parent: string): object {
  const { params, uncoerced, validated, names } = rulesOf(type);
  refuseUnknown(names, raw, parent);
  const instance = new type() as Record<string, unknown>;
  for (const param of params) readParam(param, raw, { instance, parent });
  for (const name of uncoerced) if (Object.hasOwn(raw, name)) instance[name] = raw[name];
  if (validated) validate(instance, parent);
  for (const { property, nested } of params) {
    const value = instance[property];
    if (nested && isHash(value)) {
      instance[property] = bind(nested(), value, nestedName(parent, property));
    }
  }
  return instance;
}

/** Where values go: the instance of the class, and the parameter whose value the class is. */
interface Binding {
  readonly instance: Record<string, unknown>;
  readonly parent: string;
}

/** Sets a parameter that the request has. @throws InvalidRequestError (400) if it is refused or missing */
function readParam(
  { property, coerce, required }: DeclaredParam,
  raw: Record<string, unknown>,
  { instance, parent }: Binding,
): void {
  // JSON and forms have no undefined: it stands for a name that is not there.
  if (Object.hasOwn(raw, property) && raw[property] !== undefined) {
    const value = coerce(raw[property]);
    if (value instanceof Refusal) throw refusalError(value, nestedName(parent, property));
    instance[property] = value;
  } else if (required && instance[property] === undefined) {
    throw missingError(nestedName(parent, property));
  }
}

/** Checks what class-validator's own decorators say. @throws InvalidRequestError (400) with its first error */
function validate(instance: Record<string, unknown>, parent: string): void {
  const [error] = validateSync(instance, { forbidUnknownValues: false });
  if (!error) return;
  const param = nestedName(parent, error.property);
  if ((error as { value?: unknown }).value === undefined) throw missingError(param);
  const [message] = Object.values(error.constraints ?? {});
  throw new InvalidRequestError(message ?? `Invalid value for ${param}.`, { param });
}

function refuseUnknown(
  known: ReadonlySet<string>,
  raw: Record<string, unknown>,
  parent: string,
): void {
  const unknown = Object.keys(raw).filter((name) => !known.has(name));
  const [first] = unknown;
  if (first === undefined) return;
  const names = unknown.map((name) => nestedName(parent, name.slice(0, 100)));
  const similar = [...known].find((name) => isSimilar(name, first));
  const hint = similar ? `. Did you mean ${nestedName(parent, similar)}?` : '';
  const listed = names.slice(0, 10).join(', ');
  throw new InvalidRequestError(
    `Received unknown parameter${names.length > 1 ? 's' : ''}: ${listed}${hint}`,
    { code: 'parameter_unknown', param: names[0] },
  );
}

/** What a class says of its parameters. */
interface Rules {
  /** The ones that the decorators of `params.ts` declare. */
  readonly params: readonly DeclaredParam[];
  /** The ones that class-validator's decorators alone declare; they stay as they arrive. */
  readonly uncoerced: readonly string[];
  /** Whether the class carries class-validator's decorators. */
  readonly validated: boolean;
  /** All that a request may have. */
  readonly names: ReadonlySet<string>;
}

const rules = new WeakMap<ParamsClass, Rules>();

function rulesOf(type: ParamsClass): Rules {
  const cached = rules.get(type);
  if (cached) return cached;
  const params = paramsOf(type);
  const declared = new Set(params.map(({ property }) => property));
  // Internals: rules-of-class-validator
  const metadata = getMetadataStorage().getTargetValidationMetadatas(type, '', false, false);
  const names = new Set([...declared, ...metadata.map(({ propertyName }) => propertyName)]);
  const uncoerced = [...names].filter((name) => !declared.has(name));
  const found = { params, uncoerced, validated: metadata.length > 0, names };
  rules.set(type, found);
  return found;
}

function refusalError({ message, code, path }: Refusal, name: string): InvalidRequestError {
  const param = name + path;
  return new InvalidRequestError(message(param), {
    ...(code === undefined ? {} : { code }),
    param,
  });
}

function missingError(param: string): InvalidRequestError {
  return new InvalidRequestError(`Missing required param: ${param}.`, {
    code: 'parameter_missing',
    param,
  });
}

/** A parameter's name as Stripe writes it: `card[exp_month]`. */
function nestedName(parent: string, name: string): string {
  return parent === '' ? name : `${parent}[${name}]`;
}

/** Whether a name differs from another by case, or by one added, missing or changed character. */
function isSimilar(known: string, given: string): boolean {
  // First, since a name may have a megabyte and is compared with every known name.
  if (Math.abs(known.length - given.length) > 1) return false;
  const [longer, shorter] = (known.length >= given.length ? [known, given] : [given, known]).map(
    (name) => name.toLowerCase(),
  ) as [string, string];
  let start = 0;
  while (start < shorter.length && longer[start] === shorter[start]) start += 1;
  const skip = longer.length === shorter.length ? 1 : 0;
  return longer.slice(start + 1) === shorter.slice(start + skip);
}
