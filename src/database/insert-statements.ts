/** INSERT statements of one table, each written once and not anew for every row. */
import type { EntityMetadata, ObjectLiteral, Repository } from 'typeorm';

export type ColumnOfEntity = EntityMetadata['columns'][number];

/** An INSERT of some columns, and what PostgreSQL adds to them. */
export interface Insert {
  readonly sql: string;
  readonly given: ColumnOfEntity[];
  /** At least `created`. */
  readonly filled: ColumnOfEntity[];
}

export class InsertStatements {
  /** By the columns that are given. */
  private readonly known = new Map<string, Insert>();

  /** The statement for a row with these values, by property. */
  of({ metadata, manager }: Repository<ObjectLiteral>, values: Record<string, unknown>): Insert {
    const { columns, tablePath } = metadata;
    const isGiven = ({ propertyName }: ColumnOfEntity) => values[propertyName] !== undefined;
    const which = columns.map((column) => (isGiven(column) ? '1' : '0')).join('');
    const known = this.known.get(which);
    if (known) return known;
    const { driver } = manager.connection;
    const named = (some: ColumnOfEntity[]) =>
      some.map(({ databaseName }) => driver.escape(databaseName)).join(', ');
    const given = columns.filter(isGiven);
    // PostgreSQL stores the members of jsonb in an order of its own, and a response shows the stored order.
    const filled = columns.filter((column) => !isGiven(column) || column.type === 'jsonb');
    const table = tablePath.split('.').map((part) => driver.escape(part));
    const placeholders = given.map((_, at) => `$${at + 1}`).join(', ');
    const sql =
      `INSERT INTO ${table.join('.')} (${named(given)}) VALUES (${placeholders}) ` +
      `RETURNING ${named(filled)}`;
    const insert = { sql, given, filled };
    this.known.set(which, insert);
    return insert;
  }
}
