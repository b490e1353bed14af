import { Client } from 'pg';

/** How many different statements a process prepares; what lies beyond is planned each time. */
const MOST = 200;

/** Names by statement: TypeORM writes the same text for the same work. */
const names = new Map<string, string>();

/**
 * A connection that prepares the statements it is sent with parameters, as TypeORM sends them:
 * PostgreSQL parses and plans each once, and not with every request. All of them list their columns,
 * so that a migration that adds one breaks none of them.
 */
export class PreparingClient extends Client {
  // pg has eight signatures for it; the one that matters here is `(text, values)`
  override query = ((first: unknown, values?: unknown, ...rest: unknown[]) => {
    const send = super.query.bind(this) as (...given: unknown[]) => unknown;
    const name = typeof first === 'string' && Array.isArray(values) ? nameOf(first) : undefined;
    if (name === undefined) return send(first, values, ...rest);
    return send({ name, text: first, values }, ...rest);
  }) as Client['query'];
}

function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= MOST) return known;
  const name = `prepared_${names.size}`;
  names.set(text, name);
  return name;
}
