/** Statements sent over one connection of the application's pool, several in one round trip. */
import type { Client, Pool, PoolClient, QueryConfig } from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';
import { ownQueryRunner } from './ambient-transaction';
import { named } from './statements';
import { rememberPrepared, sendBatch, type StatementResult } from './batch';
import { isConnectionLost, READ_ONLY } from './database-errors';
import { recordRaised } from './raised-errors';

/** Longest wait for the result of a statement, ms, where the pool sets no `query_timeout`. */
const STATEMENT_TIMEOUT_MS = 10_000;
/** Longest wait for a statement that waits for no lock, such as BEGIN, ms: past it the connection is dead. */
const LOCKLESS_TIMEOUT_MS = 2_000;

/** With an error the pool closes the connection instead of lending it again. */
export interface ReleasableRunner extends QueryRunner {
  // Internals: release-with-error
  releasePostgresConnection(error?: unknown): Promise<void>;
}

/** The pool, with all its connections and with those that it has not lent. */
type PoolOfTypeOrm = Pool & { _clients: Client[]; _idle: { client: PoolClient }[] };

/**
 * Keeps the process alive when the server ends a connection at the wrong moment. pg's pool removes its
 * error listener from a connection that it lends, and TypeORM adds its own a moment later; an error
 * that arrives in between has no listener and would end the process. Called once at start-up.
 */
export function surviveLostConnections(dataSource: DataSource): void {
  // Internals: pool-of-typeorm
  const { master } = dataSource.driver as unknown as { master?: PoolOfTypeOrm };
  if (!master) return; // not connected, or not PostgreSQL: the first statement will fail
  // A statement that is being sent on the connection fails by itself; the event only needs a listener.
  const listen = (client: Client | PoolClient) => void client.on('error', () => undefined);
  master.on('connect', listen);
  for (const client of master._clients) listen(client); // those that TypeORM opened to connect
}

/**
 * Closes the connections to a server that has become read-only: the one on which it said so, when the pool gets
 * it back, and the idle ones. After a failover they lead to a standby, and new ones to the server that takes
 * writes. Called once at start-up.
 */
export function dropReadOnlyConnections(dataSource: DataSource): void {
  const { master } = dataSource.driver as unknown as { master?: PoolOfTypeOrm };
  if (!master) return;
  const readOnly = new WeakSet<object>();
  const watch = (client: Client | PoolClient) => {
    // Internals: messages-of-pg
    client.connection.on('errorMessage', ({ code }: { code?: string }) => {
      if (code !== READ_ONLY) return;
      readOnly.add(client);
      for (const { client: idle } of master._idle) idle.connection.stream.destroy();
    });
  };
  master.on('connect', watch);
  for (const client of master._clients) watch(client);
  // The pool does not lend a connection again that is ending.
  master.on('release', (_error, client) => {
    if (readOnly.has(client)) void client.end();
  });
}

/** Runs statements in one round trip on a connection of the pool, outside of any transaction. */
export async function runStatements(
  dataSource: DataSource,
  statements: QueryConfig[],
): Promise<StatementResult[]> {
  const runner = ownQueryRunner(dataSource) as ReleasableRunner;
  const client = (await runner.connect()) as PoolClient;
  try {
    const results = await sendStatements(client, statements, false);
    await runner.releasePostgresConnection();
    return results;
  } catch (error) {
    await runner.releasePostgresConnection(isConnectionLost(error) ? error : undefined);
    throw error;
  }
}

/** Whether a session of this process that is no handler's waits for the transaction on `client`. */
export async function keepsOthersWaiting(
  dataSource: DataSource,
  client: PoolClient,
): Promise<boolean> {
  // Internals: pool-of-typeorm
  const { master } = dataSource.driver as unknown as { master: { _clients: WithProcessId[] } };
  const own = (client as unknown as WithProcessId).processID;
  const others = master._clients.map(({ processID }) => processID).filter((pid) => pid !== own);
  const [result] = await runStatements(dataSource, [named('waitingFor', [own, others.join(',')])]);
  return result?.rows.length !== 0;
}

interface WithProcessId {
  readonly processID: number;
}

/**
 * Sends statements in one round trip. The first time on a connection each is sent by itself, so that pg
 * prepares it; without waiting for the one before where the client can (`pipeline: true`).
 *
 * @param waiting whether one of them may wait for a lock
 * @throws the first error, after every statement has its result
 */
export function sendStatements(
  client: PoolClient,
  statements: QueryConfig[],
  waiting = true,
): Promise<StatementResult[]> {
  // A server that takes a statement and never replies is gone, however healthy the connection looks.
  const timeoutMs = waiting ? timeoutOf(client) : Math.min(LOCKLESS_TIMEOUT_MS, timeoutOf(client));
  return sendBatch(client, statements, timeoutMs) ?? sendEach(client, statements, timeoutMs);
}

/** Each by itself, for pg to prepare it. */
async function sendEach(
  client: PoolClient,
  statements: QueryConfig[],
  timeoutMs: number,
): Promise<StatementResult[]> {
  const prepare = async (statement: QueryConfig) => {
    const bounded = Object.assign({ query_timeout: timeoutMs }, statement);
    try {
      const result = await client.query(bounded);
      rememberPrepared(client, statement, result);
      return result;
    } catch (error) {
      throw recordRaised(error);
    }
  };
  // Internals: pipeline-of-pg
  if (!(client as PoolClient & { pipeline?: boolean }).pipeline) {
    const results: StatementResult[] = [];
    for (const statement of statements) results.push(await prepare(statement));
    return results;
  }
  const settled = await Promise.allSettled(statements.map(prepare));
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}

function timeoutOf(client: PoolClient): number {
  const { connectionParameters } = client as PoolClient & {
    connectionParameters?: { query_timeout?: number };
  };
  return connectionParameters?.query_timeout || STATEMENT_TIMEOUT_MS;
}
