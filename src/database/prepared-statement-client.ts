/** A connection to PostgreSQL that prepares every statement. */
import { Client } from 'pg';

/** A process prepares so many different statements; PostgreSQL plans all others each time. */
const MAX_STATEMENTS = 200;

/** Names by statement: TypeORM writes the same text for the same work. */
const names = new Map<string, string>();

/**
 * Prepares every statement with parameters, as TypeORM sends them, so that PostgreSQL parses and plans each
 * once and not with every request. All of them list their columns, so that a migration can add a column.
 */
export class PreparedStatementClient extends Client {
  // pg has eight signatures for it; TypeORM uses `(text, values)`
  // Internals: prepared-client
  override query = ((first: unknown, values?: unknown, ...rest: unknown[]) => {
    const send = super.query.bind(this) as (...given: unknown[]) => unknown;
    const name =
      typeof first === 'string' && Array.isArray(values) ? statementName(first) : undefined;
    if (name === undefined) return send(first, values, ...rest);
    return send({ name, text: first, values }, ...rest);
  }) as Client['query'];
}

function statementName(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= MAX_STATEMENTS) return known;
  const name = `prepared_${names.size}`;
  names.set(text, name);
  return name;
}
