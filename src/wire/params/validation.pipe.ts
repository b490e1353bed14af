/** Turns a raw body or query into the class of its parameters. */
import { Injectable, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import { getMetadataStorage, validateSync, type ValidationError } from 'class-validator';
import { InvalidRequestError } from '../errors/api.errors';
import { coercionOf, nestedType } from './params';
import { isHash, Refusal } from './raw-values';

/**
 * Turns a body or query into the class that the handler names, or refuses it with the first error in
 * Stripe's words: unknown parameters first, then each parameter in the order of the class. It runs
 * before the handler, so a refusal is not stored (R14).
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

type ParamsClass = new () => object;

function isParamsClass(metatype: unknown): metatype is ParamsClass {
  const primitives: readonly unknown[] = [String, Number, Boolean, Array, Object];
  return typeof metatype === 'function' && !primitives.includes(metatype);
}

/** @param parent the parameter whose value the hash is; empty at the top level */
function bind(type: ParamsClass, raw: Record<string, unknown>, parent: string): object {
  refuseUnknown(type, raw, parent);
  const prototype = type.prototype as object;
  const instance = new type() as Record<string, unknown>;
  for (const name of Object.keys(raw)) {
    const coerce = coercionOf(prototype, name);
    instance[name] = coerce ? coerce(raw[name]) : raw[name];
  }
  const [error] = validateSync(instance, { forbidUnknownValues: false });
  if (error) throw validationError(error, parent);
  for (const name of declaredNames(type)) {
    const nested = nestedType(prototype, name);
    const value = instance[name];
    if (nested && isHash(value)) instance[name] = bind(nested, value, nestedName(parent, name));
  }
  return instance;
}

function refuseUnknown(type: ParamsClass, raw: Record<string, unknown>, parent: string): void {
  const known = declaredNames(type);
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

const knownNames = new WeakMap<ParamsClass, Set<string>>();

function declaredNames(type: ParamsClass): Set<string> {
  const cached = knownNames.get(type);
  if (cached) return cached;
  const rules = getMetadataStorage().getTargetValidationMetadatas(type, '', false, false);
  const names = new Set(rules.map((rule) => rule.propertyName));
  knownNames.set(type, names);
  return names;
}

function validationError(error: ValidationError, parent: string): InvalidRequestError {
  const param = nestedName(parent, error.property);
  const { value } = error as { value?: unknown };
  if (value instanceof Refusal) {
    const full = param + value.path;
    return new InvalidRequestError(value.message(full), {
      ...(value.code === undefined ? {} : { code: value.code }),
      param: full,
    });
  }
  if (value === undefined) {
    return new InvalidRequestError(`Missing required param: ${param}.`, {
      code: 'parameter_missing',
      param,
    });
  }
  const [message] = Object.values(error.constraints ?? {});
  return new InvalidRequestError(message ?? `Invalid value for ${param}.`, { param });
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
