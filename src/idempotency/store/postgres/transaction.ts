/**
 * The ambient transaction: while a handler runs, everything that goes through the application's
 * DataSource joins the transaction its key will be stored in, without being handed anything (R9).
 *
 * TypeORM's repositories all ask their DataSource's one entity manager for its query runner, and use
 * a connection of their own when it has none. So it is enough that this manager answers with the
 * runner of the transaction around it (docs/decisions/0003-ambient-transaction.md).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Client, Pool, PoolClient, QueryConfig } from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';
import { type Answered, rememberPrepared, sendBatch } from './batch';

/** What database access means here: in this transaction, or refused with these words. */
type Ambient = { readonly runner: QueryRunner } | { readonly refusal: string };

const ambient = new AsyncLocalStorage<Ambient | undefined>();

/** Lets everything that uses `dataSource` join the ambient transaction. Called once at start-up. */
export function joinAmbientTransaction(dataSource: DataSource): void {
  const current = (): QueryRunner | undefined => {
    const store = ambient.getStore();
    if (store && 'refusal' in store) throw new Error(store.refusal);
    return store?.runner;
  };
  Object.defineProperty(dataSource.manager, 'queryRunner', { get: current, configurable: true });

  const query = dataSource.query.bind(dataSource);
  dataSource.query = (sql, parameters, runner) => query(sql, parameters, runner ?? current());
  const createQueryBuilder = dataSource.createQueryBuilder.bind(dataSource) as (
    ...args: unknown[]
  ) => unknown;
  dataSource.createQueryBuilder = ((first?: unknown, alias?: unknown, runner?: unknown) =>
    alias
      ? createQueryBuilder(first, alias, runner ?? current())
      : createQueryBuilder(first ?? current())) as typeof dataSource.createQueryBuilder;
}

/**
 * Keeps the process alive when the server ends a connection at the wrong moment. pg's pool takes its
 * listener off a connection that it lends, and TypeORM puts its own on a moment later; an error that
 * arrives in between has no listener and would end the process. Called once at start-up.
 */
export function surviveLostConnections(dataSource: DataSource): void {
  const { master } = dataSource.driver as unknown as { master?: Pool & { _clients: Client[] } };
  if (!master) return; // not connected, or not PostgreSQL: the first statement will say so
  // What is being sent on the connection fails by itself; this only has to be heard.
  const hear = (client: Client | PoolClient) => void client.on('error', () => undefined);
  master.on('connect', hear);
  for (const client of master._clients) hear(client); // those that TypeORM opened to connect
}

/** Database access inside `work` throws `refusal`: it would be outside of the fence (R11). */
export const refusingDatabase = <T>(refusal: string, work: () => T): T =>
  ambient.run({ refusal }, work);

/**
 * Takes `work` out of the ambient transaction: its database access commits on its own, whatever
 * becomes of the request. For an audit log, say. Nothing in it is undone or fenced.
 */
export const outsideTransaction = <T>(work: () => T): T => ambient.run(undefined, work);

/** Why a transaction did not commit. */
export class CommitFailed extends Error {}

/** The answer to COMMIT was lost: it may have committed (R21). */
export class CommitInDoubt extends Error {}

/** How long this module waits for the answer to a statement, where the pool sets no `query_timeout`. */
const STATEMENT_PATIENCE_MS = 10_000;
/** And for what waits for no lock, such as BEGIN: past this the connection leads nowhere. */
const BEGIN_PATIENCE_MS = 2_000;

const BEGIN: QueryConfig = { name: 'paidonce_begin', text: 'BEGIN' };
const COMMIT: QueryConfig = { name: 'paidonce_commit', text: 'COMMIT' };
const ROLLBACK: QueryConfig = { name: 'paidonce_rollback', text: 'ROLLBACK' };

/** One transaction on one connection of the application's pool. */
export class Transaction {
  #over = false;

  private constructor(
    private readonly runner: QueryRunner,
    private readonly client: PoolClient,
  ) {}

  /**
   * Takes a connection and begins, with `statements` in the same round trip.
   *
   * @param waiting whether one of them may wait for a lock
   * @returns the transaction and the statements' results
   * @throws the first error of a statement; the connection is back in the pool then
   */
  static async begin(
    dataSource: DataSource,
    statements: QueryConfig[],
    waiting = false,
  ): Promise<{ transaction: Transaction; results: Answered[] }> {
    const runner = dataSource.createQueryRunner();
    const client = (await runner.connect()) as PoolClient;
    const transaction = new Transaction(runner, client);
    try {
      const [, ...results] = await send(client, [BEGIN, ...statements], waiting);
      // TypeORM must know that a transaction is open: else `save()` begins and commits its own.
      Object.assign(runner, { isTransactionActive: true, transactionDepth: 1 });
      return { transaction, results };
    } catch (error) {
      if (isConnectionLost(error)) await transaction.release(error);
      else await transaction.rollback();
      throw error;
    }
  }

  /** Runs `work` with this as the ambient transaction. */
  run<T>(work: () => T): T {
    return ambient.run({ runner: this.runner }, work);
  }

  /**
   * Sends `statements` and COMMIT in one round trip.
   *
   * @returns the statements' results
   * @throws CommitInDoubt when the answer to COMMIT was lost
   * @throws CommitFailed when PostgreSQL rolled back instead; its `cause` is the reason
   */
  async commit(statements: QueryConfig[] = []): Promise<Answered[]> {
    if (this.#over || this.runner.isReleased) {
      // The connection broke while the handler ran, or PostgreSQL ended it for being idle.
      throw new CommitFailed('The transaction had ended before it could be committed.');
    }
    this.#over = true;
    try {
      const results = await send(this.client, [...statements, COMMIT]);
      // pg does not throw when an aborted transaction answers COMMIT with ROLLBACK.
      if (results.at(-1)?.command !== 'COMMIT') throw new CommitFailed('PostgreSQL rolled back.');
      await this.release();
      return results.slice(0, -1);
    } catch (error) {
      if (isConnectionLost(error)) {
        await this.release(error);
        throw new CommitInDoubt('The answer to COMMIT was lost.', { cause: error });
      }
      await this.end();
      if (error instanceof CommitFailed) throw error;
      throw new CommitFailed('A statement of the commit failed.', { cause: error });
    }
  }

  /** Undoes everything. Never throws: a connection that cannot roll back is closed, which does. */
  async rollback(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.end();
  }

  private async end(): Promise<void> {
    if (this.runner.isReleased) return;
    try {
      await send(this.client, [ROLLBACK]);
      await this.release();
    } catch (error) {
      await this.release(error);
    }
  }

  private release(error?: unknown): Promise<void> {
    Object.assign(this.runner, { isTransactionActive: false, transactionDepth: 0 });
    return (this.runner as ReleasableRunner).releasePostgresConnection(error);
  }
}

/** Reads in one round trip on a connection of the pool, outside of any transaction. */
export async function ask(dataSource: DataSource, statements: QueryConfig[]): Promise<Answered[]> {
  const runner = dataSource.createQueryRunner() as ReleasableRunner;
  const client = (await runner.connect()) as PoolClient;
  try {
    const answered = await send(client, statements, false);
    await runner.releasePostgresConnection();
    return answered;
  } catch (error) {
    await runner.releasePostgresConnection(isConnectionLost(error) ? error : undefined);
    throw error;
  }
}

/** With an error the pool closes the connection instead of lending it again. */
interface ReleasableRunner extends QueryRunner {
  releasePostgresConnection(error?: unknown): Promise<void>;
}

/**
 * Sends statements in one round trip. The first time on a connection each is sent by itself, one
 * behind the other where the client can (`pipeline: true`): so pg prepares it.
 *
 * @param waiting whether one of them may wait for a lock
 * @throws the first error, after every statement has been answered
 */
function send(client: PoolClient, statements: QueryConfig[], waiting = true): Promise<Answered[]> {
  // A server that takes a statement and never answers is gone, however healthy the connection looks.
  const patienceMs = waiting ? patienceOf(client) : Math.min(BEGIN_PATIENCE_MS, patienceOf(client));
  return sendBatch(client, statements, patienceMs) ?? sendEach(client, statements, patienceMs);
}

/** Each by itself, for pg to prepare it. */
async function sendEach(
  client: PoolClient,
  statements: QueryConfig[],
  patienceMs: number,
): Promise<Answered[]> {
  const prepare = async (statement: QueryConfig) => {
    const bounded = Object.assign({ query_timeout: patienceMs }, statement);
    const result = await client.query(bounded);
    rememberPrepared(client, statement, result);
    return result;
  };
  if (!(client as PoolClient & { pipeline?: boolean }).pipeline) {
    const results: Answered[] = [];
    for (const statement of statements) results.push(await prepare(statement));
    return results;
  }
  const answers = await Promise.allSettled(statements.map(prepare));
  return answers.map((answer) => {
    if (answer.status === 'rejected') throw answer.reason;
    return answer.value;
  });
}

function patienceOf(client: PoolClient): number {
  const { connectionParameters } = client as PoolClient & {
    connectionParameters?: { query_timeout?: number };
  };
  return connectionParameters?.query_timeout || STATEMENT_PATIENCE_MS;
}

/** SQLSTATE classes and codes that mean the server or the way to it is gone. */
const LOST_STATES = /^(08...|57P0[1-4]|25P0[34])$/;
const LOST_CODES = new Set(
  'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH'.split(' '),
);
const LOST_WORDS =
  /connection terminated|connection error and is not queryable|closed and is not queryable|timeout exceeded when trying to connect|query read timeout|too many clients|queryrunner was already released|runner already released|driver not connected|end on the pool|transaction had ended before/i;

/** SQLSTATE: serialization failure, deadlock. PostgreSQL asks for another try of the whole. */
const TRY_AGAIN = new Set(['40001', '40P01']);

interface Cause {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly driverError?: unknown;
  readonly cause?: unknown;
}

/** Whether an error means that the database could not be reached, rather than that it said no. */
export const isConnectionLost = (error: unknown): boolean =>
  causesOf(error).some(
    ({ code, message }) =>
      (typeof code === 'string' && (LOST_CODES.has(code) || LOST_STATES.test(code))) ||
      code === '53300' ||
      LOST_WORDS.test(String(message)),
  );

/** Whether the same work may well succeed when it is done again from its start. */
export const isWorthRepeating = (error: unknown): boolean =>
  isConnectionLost(error) || causesOf(error).some(({ code }) => TRY_AGAIN.has(String(code)));

/** An error, what it wraps, and what caused it. They may come of another realm: no `instanceof`. */
function causesOf(error: unknown): Cause[] {
  const causes: Cause[] = [];
  for (let at = error; typeof at === 'object' && at !== null && causes.length < 5;) {
    const cause = at as Cause;
    causes.push(cause);
    at = cause.driverError ?? cause.cause;
  }
  return causes;
}
