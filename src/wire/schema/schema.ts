/**
 * What an answer looks like, said once: a JSON Schema (draft 2020-12, as in OpenAPI 3.1) that carries
 * the TypeScript type it describes. The types of `*.wire.ts` are derived from these schemas, so the
 * compiler holds the answers to them, and the OpenAPI document shows them.
 */

/** Keywords of JSON Schema, as they stand in the document. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

declare const TYPE: unique symbol;

/** A schema of values of the type `T`. */
export interface Schema<T> {
  readonly json: JsonSchema;
  readonly [TYPE]?: T;
}

/** A field that may be left out of its object. */
export interface OptionalField<T> extends Schema<T> {
  readonly optional: true;
}

/** The type of the values a schema describes. */
export type TypeOf<S> = S extends Schema<infer T> ? T : never;

type Fields = Readonly<Record<string, Schema<unknown>>>;
type OptionalNames<F> = {
  [N in keyof F]: F[N] extends OptionalField<unknown> ? N : never;
}[keyof F];
type ObjectOf<F> = {
  readonly [N in Exclude<keyof F, OptionalNames<F>>]: TypeOf<F[N]>;
} & { readonly [N in OptionalNames<F>]?: TypeOf<F[N]> };
type TypesOf<S extends readonly unknown[]> = { [I in keyof S]: TypeOf<S[I]> }[number];

export function text(description?: string): Schema<string> {
  return { json: { type: 'string', ...described(description) } };
}

export function integer(description?: string): Schema<number> {
  return { json: { type: 'integer', ...described(description) } };
}

export function number(description?: string): Schema<number> {
  return { json: { type: 'number', ...described(description) } };
}

export function flag(description?: string): Schema<boolean> {
  return { json: { type: 'boolean', ...described(description) } };
}

/** What other servers fill in and this one does not: always null. */
export function alwaysNull(): Schema<null> {
  return { json: { type: 'null' } };
}

/** One value alone. */
export function literal<const T extends string | number | boolean>(value: T): Schema<T> {
  return { json: { type: typeof value, const: value } };
}

/** One of a few strings. */
export function oneOf<const T extends string>(
  values: readonly T[],
  description?: string,
): Schema<T> {
  return { json: { type: 'string', enum: values, ...described(description) } };
}

export function orNull<T>({ json }: Schema<T>): Schema<T | null> {
  const { type, enum: values, ...rest } = json;
  if (type === undefined || 'const' in json) {
    return { json: { anyOf: [...((json.anyOf as JsonSchema[]) ?? [json]), { type: 'null' }] } };
  }
  const nullable = { type: [type, 'null'].flat(), ...rest };
  return { json: Array.isArray(values) ? { ...nullable, enum: [...values, null] } : nullable };
}

export function either<S extends readonly Schema<unknown>[]>(...schemas: S): Schema<TypesOf<S>> {
  return { json: { anyOf: schemas.map(({ json }) => json) } };
}

export function optional<T>(schema: Schema<T>): OptionalField<T> {
  return { ...schema, optional: true };
}

export function arrayOf<T>(entry: Schema<T>): Schema<T[]> {
  return { json: { type: 'array', items: entry.json } };
}

/** A hash whose keys callers choose. */
export function textsByName(description?: string): Schema<Record<string, string>> {
  const json = { type: 'object', additionalProperties: { type: 'string' } };
  return { json: { ...json, ...described(description) } };
}

/** An object with these fields. The document allows others beside them, so that some may be added. */
export function object<F extends Fields>(fields: F, description?: string): Schema<ObjectOf<F>> {
  const entries = Object.entries(fields);
  const required = entries.filter(([, field]) => !('optional' in field)).map(([name]) => name);
  return {
    json: {
      type: 'object',
      ...described(description),
      properties: Object.fromEntries(entries.map(([name, { json }]) => [name, json])),
      ...(required.length === 0 ? {} : { required }),
    },
  };
}

/** Every schema with a name in the document. */
export const namedSchemas = new Map<string, JsonSchema>();

/** Gives a schema a name in the document; what uses it refers to it by that name. */
export function named<T>(name: string, schema: Schema<T>): Schema<T> {
  namedSchemas.set(name, schema.json);
  return referenceTo<T>(name);
}

/** A schema with a name that is declared elsewhere. */
export function referenceTo<T>(name: string): Schema<T> {
  return { json: { $ref: `#/components/schemas/${name}` } };
}

function described(description: string | undefined): JsonSchema {
  return description === undefined ? {} : { description };
}
