import { Injectable, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import { getMetadataStorage, validateSync, type ValidationError } from 'class-validator';
import { InvalidRequestError } from '../errors/api.errors';
import { coercionOf, nestedType } from './params';
import { isHash, Refusal } from './raw-values';

/**
 * Turns a body or a query into the class the handler names, or refuses it with the first thing that
 * is wrong, as Stripe words it: unknown parameters first, then each in the order the class declares
 * them. It runs before the handler, so nothing of a refusal is stored (R14).
 */
@Injectable()
export class WireValidationPipe implements PipeTransform {
  transform(value: unknown, { type, metatype }: ArgumentMetadata): unknown {
    if ((type !== 'body' && type !== 'query') || !isDto(metatype)) return value;
    const raw = value ?? {};
    if (!isHash(raw)) throw new InvalidRequestError('The request body must be an object.');
    return bind(metatype, raw, '');
  }
}

type Dto = new () => object;

function isDto(metatype: unknown): metatype is Dto {
  const primitives: readonly unknown[] = [String, Number, Boolean, Array, Object];
  return typeof metatype === 'function' && !primitives.includes(metatype);
}

/** The parameters of a hash as an instance of their class. */
function bind(type: Dto, raw: Record<string, unknown>, parent: string): object {
  refuseUnknown(type, raw, parent);
  const prototype = type.prototype as object;
  const instance = new type() as Record<string, unknown>;
  for (const name of Object.keys(raw)) {
    const coerce = coercionOf(prototype, name);
    instance[name] = coerce ? coerce(raw[name]) : raw[name];
  }
  const [error] = validateSync(instance, { forbidUnknownValues: false });
  if (error) throw refusalOf(error, parent);
  for (const name of namesOf(type)) {
    const nested = nestedType(prototype, name);
    const value = instance[name];
    if (nested && isHash(value)) instance[name] = bind(nested, value, within(parent, name));
  }
  return instance;
}

function refuseUnknown(type: Dto, raw: Record<string, unknown>, parent: string): void {
  const known = namesOf(type);
  const unknown = Object.keys(raw).filter((name) => !known.has(name));
  const [first] = unknown;
  if (first === undefined) return;
  const names = unknown.map((name) => within(parent, name.slice(0, 100)));
  const similar = [...known].find((name) => isSimilar(name, first));
  const hint = similar ? `. Did you mean ${within(parent, similar)}?` : '';
  const listed = names.slice(0, 10).join(', ');
  throw new InvalidRequestError(
    `Received unknown parameter${names.length > 1 ? 's' : ''}: ${listed}${hint}`,
    { code: 'parameter_unknown', param: names[0] },
  );
}

const knownNames = new WeakMap<Dto, Set<string>>();

function namesOf(type: Dto): Set<string> {
  const cached = knownNames.get(type);
  if (cached) return cached;
  const rules = getMetadataStorage().getTargetValidationMetadatas(type, '', false, false);
  const names = new Set(rules.map((rule) => rule.propertyName));
  knownNames.set(type, names);
  return names;
}

function refusalOf(error: ValidationError, parent: string): InvalidRequestError {
  const param = within(parent, error.property);
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
function within(parent: string, name: string): string {
  return parent === '' ? name : `${parent}[${name}]`;
}

/** Whether a name is a slip of another: one character added, left out, changed, or other case. */
function isSimilar(known: string, given: string): boolean {
  // Before anything is made of a name of a megabyte, for each name there is.
  if (Math.abs(known.length - given.length) > 1) return false;
  const [longer, shorter] = (known.length >= given.length ? [known, given] : [given, known]).map(
    (name) => name.toLowerCase(),
  ) as [string, string];
  let start = 0;
  while (start < shorter.length && longer[start] === shorter[start]) start += 1;
  const skip = longer.length === shorter.length ? 1 : 0;
  return longer.slice(start + 1) === shorter.slice(start + skip);
}
