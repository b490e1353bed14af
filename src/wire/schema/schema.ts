/**
 * Schemas of responses: JSON Schema (draft 2020-12, as in OpenAPI 3.1) that carries the TypeScript type
 * it describes. The types of `*.wire.ts` are derived from these schemas, so the compiler checks the
 * responses, and the OpenAPI document shows the schemas.
 */

/** Keywords of JSON Schema, as the document shows them. */
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

/** A string. */
export function text(description?: string): Schema<string> {
  return { json: { type: 'string', ...descriptionKeyword(description) } };
}

/** A whole number. */
export function integer(description?: string): Schema<number> {
  return { json: { type: 'integer', ...descriptionKeyword(description) } };
}

/** A number. */
export function number(description?: string): Schema<number> {
  return { json: { type: 'number', ...descriptionKeyword(description) } };
}

/** True or false. */
export function flag(description?: string): Schema<boolean> {
  return { json: { type: 'boolean', ...descriptionKeyword(description) } };
}

/** A field of Stripe that this server never fills in: null. */
export function alwaysNull(): Schema<null> {
  return { json: { type: 'null' } };
}

/** Exactly one value. */
export function literal<const T extends string | number | boolean>(value: T): Schema<T> {
  return { json: { type: typeof value, const: value } };
}

/** One of a few strings. */
export function oneOf<const T extends string>(
  values: readonly T[],
  description?: string,
): Schema<T> {
  return { json: { type: 'string', enum: values, ...descriptionKeyword(description) } };
}

/** The same, or null. */
export function orNull<T>({ json }: Schema<T>): Schema<T | null> {
  const { type, enum: values, ...rest } = json;
  if (type === undefined || 'const' in json) {
    return { json: { anyOf: [...((json.anyOf as JsonSchema[]) ?? [json]), { type: 'null' }] } };
  }
  const nullable = { type: [type, 'null'].flat(), ...rest };
  return { json: Array.isArray(values) ? { ...nullable, enum: [...values, null] } : nullable };
}

/** Any of these schemas. */
export function either<S extends readonly Schema<unknown>[]>(...schemas: S): Schema<TypesOf<S>> {
  return { json: { anyOf: schemas.map(({ json }) => json) } };
}

/** A field that may be absent. */
export function optional<T>(schema: Schema<T>): OptionalField<T> {
  return { ...schema, optional: true };
}

/** A list. */
export function arrayOf<T>(entry: Schema<T>): Schema<T[]> {
  return { json: { type: 'array', items: entry.json } };
}

/** A hash of strings whose keys the client chooses. */
export function textsByName(description?: string): Schema<Record<string, string>> {
  const json = { type: 'object', additionalProperties: { type: 'string' } };
  return { json: { ...json, ...descriptionKeyword(description) } };
}

/** An object with these fields. The document allows further ones, so that fields can be added later. */
export function object<F extends Fields>(fields: F, description?: string): Schema<ObjectOf<F>> {
  const entries = Object.entries(fields);
  const required = entries.filter(([, field]) => !('optional' in field)).map(([name]) => name);
  return {
    json: {
      type: 'object',
      ...descriptionKeyword(description),
      properties: Object.fromEntries(entries.map(([name, { json }]) => [name, json])),
      ...(required.length === 0 ? {} : { required }),
    },
  };
}

/** All schemas with a name in the document. */
export const namedSchemas = new Map<string, JsonSchema>();

/** Gives a schema a name in the document. The result refers to it by that name. */
export function named<T>(name: string, schema: Schema<T>): Schema<T> {
  namedSchemas.set(name, schema.json);
  return referenceTo<T>(name);
}

/** Refers to a schema that is declared with this name elsewhere. */
export function referenceTo<T>(name: string): Schema<T> {
  return { json: { $ref: `#/components/schemas/${name}` } };
}

function descriptionKeyword(description: string | undefined): JsonSchema {
  return description === undefined ? {} : { description };
}
