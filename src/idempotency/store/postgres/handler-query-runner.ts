/**
 * A query runner of TypeORM's on the connection of a handler's transaction (R9a). Its transactions are
 * savepoints; its state is its own; releasing it undoes what it left open.
 */
import type { PoolClient } from 'pg';
import {
  EntityManager,
  type QueryRunner,
  QueryRunnerAlreadyReleasedError,
  TransactionNotStartedError,
} from 'typeorm';

/** The arguments of `query()` of pg's client. */
export type Statement = [text: unknown, values?: unknown, ...rest: unknown[]];
export type Send = (...statement: Statement) => unknown;

/** The savepoints around a query runner, its own included, from the outermost. */
export type Lineage = string[];

/** The savepoints of one transaction. */
export interface Savepoints {
  /**
   * Begins one with a name of its own.
   *
   * @throws Error where a stronger isolation level is asked for than the transaction has
   */
  begin(level?: string): Promise<string>;
  /** @throws Error where this is not the latest one that is open */
  end(name: string, how: 'commit' | 'roll back'): Promise<void>;
  /** From here on the transaction can only be undone. @returns the error that says why */
  fail(message: string): Error;
}

/** Where a query runner stands. */
export interface HandlerQueryRunnerPlace {
  readonly client: PoolClient;
  readonly savepoints: Savepoints;
  /** The savepoints around it; it adds its own. */
  readonly lineage: Lineage;
  /** Whether it is the one that repositories use: it is inside a transaction from the start. */
  readonly isAmbient: boolean;
}

/**
 * @param runner a new one, without a connection
 * @returns the same runner
 */
export function handlerQueryRunner(
  runner: QueryRunner,
  { client, savepoints, lineage, isAmbient }: HandlerQueryRunnerPlace,
): QueryRunner {
  const outside = lineage.length;
  const isInside = () => lineage.length > outside;
  const showDepth = () => {
    const transactionDepth = (isAmbient ? 1 : 0) + lineage.length - outside;
    // TypeORM must know that a transaction is open: else `save()` begins and commits its own.
    // Internals: open-transaction
    Object.assign(runner, { isTransactionActive: transactionDepth > 0, transactionDepth });
  };
  const end = async (how: 'commit' | 'roll back') => {
    const name = isInside() ? lineage.pop() : undefined;
    if (name === undefined) {
      if (!isAmbient) throw new TransactionNotStartedError();
      throw savepoints.fail('The handler tried to end the transaction of its request itself.');
    }
    try {
      await savepoints.end(name, how);
    } catch (error) {
      lineage.push(name);
      throw error;
    } finally {
      showDepth();
    }
  };
  const release = async () => {
    if (runner.isReleased) return;
    try {
      while (isInside()) await end('roll back');
    } finally {
      if (!isAmbient) Object.assign(runner, { isReleased: true });
    }
  };
  showDepth();
  return Object.assign(runner, {
    connect: () => Promise.resolve(client),
    startTransaction: async (level?: string) => {
      if (runner.isReleased) throw new QueryRunnerAlreadyReleasedError();
      // At once: a second save() of this runner must not begin a transaction too.
      Object.assign(runner, { isTransactionActive: true });
      try {
        lineage.push(await savepoints.begin(level));
      } finally {
        showDepth();
      }
    },
    commitTransaction: () => end('commit'),
    rollbackTransaction: () => end('roll back'),
    release,
    // `await using`: TypeORM's own would commit the innermost transaction alone.
    [Symbol.asyncDispose]: async () => {
      try {
        while (isInside()) await end('commit');
      } finally {
        await release();
      }
    },
  });
}

/** Sends a statement on pg's client itself. */
export const sendTo = (client: PoolClient, statement: Statement): unknown =>
  (client as { query(...given: Statement): unknown }).query(...statement);

/** TypeORM's own `transaction()` of a query runner's manager. */
export function transactionOf(runner: QueryRunner, given: unknown[]): Promise<unknown> {
  const { transaction } = EntityManager.prototype as Record<
    'transaction',
    (...more: unknown[]) => unknown
  >;
  return Reflect.apply(transaction, runner.manager, given) as Promise<unknown>;
}

/** pg's client, but for its statements, which `send` sends. */
export function clientSending(client: PoolClient, send: Send): PoolClient {
  return new Proxy(client, {
    get: (target, name) => {
      if (name === 'query') return send;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
