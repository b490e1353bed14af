/**
 * Several prepared statements and one Sync: one packet there and one back. pg's own pipeline sends each
 * statement in a packet of its own, and gets as many back. After a failed statement PostgreSQL skips the
 * rest, COMMIT included (PostgreSQL manual, 54.2.4 "Pipelining").
 */
import { type Connection, type PoolClient, Query, type QueryConfig, type QueryResult } from 'pg';
import { recordRaised } from './raised-errors';

/** What the store reads of a statement's result. */
export type StatementResult = Pick<QueryResult, 'command' | 'rowCount' | 'rows'>;

/** A column of a result: its name, and how its text is read. */
interface Column {
  readonly name: string;
  readonly read: (text: string) => unknown;
}
type Prepared = Map<string | undefined, readonly Column[]>;

/** The statements that each connection has prepared, by their names. */
const preparedOn = new WeakMap<PoolClient, Prepared>();

/** Remembers that pg has prepared a statement on this connection, and what its rows look like. */
export function rememberPrepared(
  client: PoolClient,
  { name }: QueryConfig,
  { fields }: QueryResult,
): void {
  if (name === undefined) return;
  const prepared: Prepared = preparedOn.get(client) ?? new Map();
  const columns = fields.map((field) => ({
    name: field.name,
    read: client.getTypeParser(field.dataTypeID, 'text') as Column['read'],
  }));
  preparedOn.set(client, prepared.set(name, columns));
}

/**
 * Sends `statements` as one batch, or nothing if one of them is not prepared on this connection yet.
 *
 * @param timeoutMs longest wait for the results. Then pg closes a connection with `pipeline: true`; the
 *   caller must close any other
 * @returns their results in order; rejects with the first error
 */
export function sendBatch(
  client: PoolClient,
  statements: readonly QueryConfig[],
  timeoutMs: number,
): Promise<StatementResult[]> | undefined {
  const prepared = preparedOn.get(client);
  if (!prepared || !statements.every(({ name }) => prepared.has(name))) return undefined;
  return new Promise((resolve, reject) => {
    // Before anything is sent: the results of half a batch would go to the next query.
    const writable = statements.map((statement) => ({
      ...statement,
      values: statement.values?.map(asText),
    }));
    client.query(
      new Batch(writable, prepared, timeoutMs, (error, results) =>
        error ? reject(recordRaised(error)) : resolve(results ?? []),
      ),
    );
  });
}

type Callback = (error?: Error | null, results?: StatementResult[]) => void;

/** To pg's client this is a query, whose methods it calls by name. */
class Batch extends Query {
  private readonly results: StatementResult[] = [];
  private statementRows: unknown[] = [];
  private unreadable?: Error;

  constructor(
    /** Read by tests that record what is sent. */
    readonly statements: readonly QueryConfig[],
    private readonly prepared: Prepared,
    readonly query_timeout: number,
    public callback: Callback,
  ) {
    super('');
  }

  send(connection: Connection): void {
    connection.stream.cork(); // all of it in one packet
    try {
      for (const { name, values } of this.statements) {
        connection.bind({ statement: name, values }, false);
        connection.execute(null, false);
      }
      connection.sync();
    } finally {
      connection.stream.uncork();
    }
  }

  handleDataRow({ fields }: { fields: (string | null)[] }): void {
    const columns = this.prepared.get(this.statements[this.results.length]?.name) ?? [];
    try {
      const row: Record<string, unknown> = {};
      columns.forEach(({ name, read }, at) => {
        const text = fields[at];
        row[name] = text === null || text === undefined ? null : read(text);
      });
      this.statementRows.push(row);
    } catch (error) {
      this.unreadable = error as Error;
    }
  }

  /** @param text such as `INSERT 0 1` or `COMMIT` */
  handleCommandComplete({ text }: { text: string }): void {
    const [command = '', ...words] = text.split(' ');
    const count = /^\d+$/.exec(words.at(-1) ?? '');
    this.results.push({ command, rowCount: count && Number(count[0]), rows: this.statementRows });
    this.statementRows = [];
  }

  handleError(error: Error): void {
    this.callback(error);
  }

  handleReadyForQuery(): void {
    this.callback(this.unreadable, this.results);
  }
}
// pg's types have `submit` as a property, which a method may not override. It is a method.
// Internals: batch-of-pg
Batch.prototype.submit = function (this: Batch, connection: Connection) {
  this.send(connection);
};

/** @throws TypeError for what cannot be written as it is: only text, numbers, bytes and null can */
function asText(value: unknown): unknown {
  if (typeof value === 'number') return String(value);
  const written = typeof value === 'string' || Buffer.isBuffer(value);
  if (written || value === null || value === undefined) return value;
  throw new TypeError(`A batch cannot write ${typeof value} values.`);
}
