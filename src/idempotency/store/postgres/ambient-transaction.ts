/**
 * The ambient transaction: while a handler runs, all access through the application's DataSource joins
 * the transaction that will store the response, without being handed anything (R9).
 *
 * TypeORM's repositories all ask their DataSource's one entity manager for its query runner, and use
 * a connection of their own when it has none. So it is enough that this manager returns the runner of
 * the transaction around it (docs/decisions/0003-ambient-transaction.md).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { DataSource, QueryRunner } from 'typeorm';

/** What database access does here: it joins this transaction, or it throws this message. */
type Ambient = { readonly runner: QueryRunner } | { readonly refusal: string };

const ambient = new AsyncLocalStorage<Ambient | undefined>();

/** Lets all access through `dataSource` join the ambient transaction. Called once at start-up. */
export function joinAmbientTransaction(dataSource: DataSource): void {
  const current = (): QueryRunner | undefined => {
    const store = ambient.getStore();
    if (store && 'refusal' in store) throw new Error(store.refusal);
    return store?.runner;
  };
  // Internals: ambient-transaction
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

/** Runs `work` with this runner's transaction as the ambient one. */
export const insideTransaction = <T>(runner: QueryRunner, work: () => T): T =>
  ambient.run({ runner }, work);

/** Database access inside `work` throws an Error with this message: no fence would hold it (R11). */
export const refuseDatabase = <T>(message: string, work: () => T): T =>
  ambient.run({ refusal: message }, work);

/**
 * Takes `work` out of the ambient transaction: its database access commits on its own, whatever
 * becomes of the request. For an audit log, for example. Nothing in it is rolled back or fenced.
 */
export const outsideTransaction = <T>(work: () => T): T => ambient.run(undefined, work);
