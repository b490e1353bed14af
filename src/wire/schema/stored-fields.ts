/** Fields that a resource only stores and shows, listed once: its statements and responses are made from the list. */
import type { Schema, TypeOf } from './schema';

/** How a field is stored and shown. */
interface StoredField<P extends string = string, T = unknown> {
  /** The property of the row. */
  readonly property: P;
  readonly schema: Schema<T>;
  /** Its value while nothing is stored, mostly null. */
  readonly unset: T;
}

type FieldsByName = Readonly<Record<string, StoredField>>;
/** Values by the names of the properties of a row. */
type RowValues<F extends FieldsByName> = {
  [N in keyof F as F[N]['property']]: TypeOf<F[N]['schema']>;
};
/** Values by the names on the wire. */
type WireValues<F extends FieldsByName> = { [N in keyof F]: TypeOf<F[N]['schema']> };
/** Values of a request: null unsets a field. */
type RequestValues<F extends FieldsByName> = {
  readonly [N in keyof F]?: TypeOf<F[N]['schema']> | null;
};

/** One field of a list of `StoredFields`. */
export function storedAs<P extends string, T>(
  property: P,
  schema: Schema<T>,
  unset: NoInfer<T>,
): StoredField<P, T> {
  return { property, schema, unset };
}

/**
 * A resource's list of them, by their names on the wire.
 *
 * @example const noteFields = new StoredFields({ sent_by: storedAs('sentBy', orNull(text()), null) });
 */
export class StoredFields<F extends FieldsByName> {
  constructor(private readonly fields: F) {}

  /** For the schema of the resource in responses. */
  get schemas(): { readonly [N in keyof F]: F[N]['schema'] } {
    const entries = this.entries.map(([name, { schema }]) => [name, schema]);
    return Object.fromEntries(entries) as { [N in keyof F]: F[N]['schema'] };
  }

  /** A row's fields in a response. */
  toWire(row: RowValues<F>): WireValues<F> {
    const values = row as Record<string, unknown>;
    const entries = this.entries.map(([name, { property }]) => [name, values[property]]);
    return Object.fromEntries(entries) as WireValues<F>;
  }

  /** What an INSERT stores: fields that the request leaves out are unset. */
  newRow(request: RequestValues<F>): RowValues<F> {
    const entries = this.entries.map(([name, { property, unset }]) => [
      property,
      request[name] ?? unset,
    ]);
    return Object.fromEntries(entries) as RowValues<F>;
  }

  /** What an UPDATE sets: null unsets a field, and undefined leaves it as it is. */
  changes(request: RequestValues<F>): Partial<RowValues<F>> {
    const entries = this.entries.map(([name, { property, unset }]) => [
      property,
      request[name] === null ? unset : request[name],
    ]);
    return Object.fromEntries(entries) as Partial<RowValues<F>>;
  }

  /** A row's fields, for a row of another resource with the same fields. */
  copy(row: RowValues<F>): RowValues<F> {
    const values = row as Record<string, unknown>;
    const entries = this.entries.map(([, { property }]) => [property, values[property]]);
    return Object.fromEntries(entries) as RowValues<F>;
  }

  private get entries(): [string, StoredField][] {
    return Object.entries(this.fields);
  }
}
