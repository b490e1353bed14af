/**
 * The ambient transaction: while a handler runs, all access through the application's DataSource joins
 * the transaction that will store the response, without being handed anything (R9, R9a).
 *
 * TypeORM's repositories all ask their DataSource's one entity manager for its query runner, and use
 * a connection of their own when it has none. So it is enough that this manager returns the runner of
 * the transaction around it (docs/decisions/0003-ambient-transaction.md).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';

/** What database access does here: it joins a transaction, or it is refused. */
export interface DatabaseAccess {
  /**
   * @returns the query runner of repositories and queries; nothing where they use a connection of their own
   * @throws Error where access is refused
   */
  runner(): QueryRunner | undefined;
  /** What `createQueryRunner()` returns. */
  createRunner(): QueryRunner;
  /** What `transaction()` of the DataSource does. */
  transaction(...given: unknown[]): Promise<unknown>;
  /** What `afterCommit()` does; there is none where no transaction is (R9c). */
  afterCommit?(work: () => unknown): void;
}

const ambient = new AsyncLocalStorage<DatabaseAccess | undefined>();

/** `createQueryRunner()` of each DataSource as TypeORM made it: a connection of its own. */
const ownRunners = new WeakMap<DataSource, DataSource['createQueryRunner']>();

/** Lets all access through `dataSource` join the ambient transaction. Called once at start-up. */
export function joinAmbientTransaction(dataSource: DataSource): void {
  const current = (): QueryRunner | undefined => ambient.getStore()?.runner();
  const { manager } = dataSource;
  // Internals: ambient-transaction
  Object.defineProperty(manager, 'queryRunner', { get: current, configurable: true });

  const createQueryRunner = dataSource.createQueryRunner.bind(dataSource);
  ownRunners.set(dataSource, createQueryRunner);
  dataSource.createQueryRunner = (mode) =>
    ambient.getStore()?.createRunner() ?? createQueryRunner(mode);

  const transaction = manager.transaction.bind(manager) as (...given: unknown[]) => unknown;
  manager.transaction = ((...given: unknown[]) => {
    const access = current() && ambient.getStore();
    return access ? access.transaction(...given) : transaction(...given);
  }) as EntityManager['transaction'];

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

/** A query runner with a connection of its own, wherever it is asked for. */
export function ownQueryRunner(dataSource: DataSource): QueryRunner {
  const create = ownRunners.get(dataSource);
  return create ? create('master') : dataSource.createQueryRunner('master');
}

/** What database access does here; nothing where it uses connections of its own. */
export const currentAccess = (): DatabaseAccess | undefined => ambient.getStore();

/** Database access inside `work` is that of a transaction. */
export const insideTransaction = <T>(access: DatabaseAccess, work: () => T): T =>
  ambient.run(access, work);

/** Database access inside `work` throws an Error with this message: no fence would hold it (R11). */
export function refuseDatabase<T>(message: string, work: () => T): T {
  const refuse = (): never => {
    throw new Error(message);
  };
  return ambient.run({ runner: refuse, createRunner: refuse, transaction: refuse }, work);
}

/**
 * Takes `work` out of the ambient transaction: its database access commits on its own, whatever
 * becomes of the request. For an audit log, for example. Nothing in it is rolled back or fenced.
 */
export const outsideTransaction = <T>(work: () => T): T => ambient.run(undefined, work);
