/**
 * The connection of a handler's transaction, as the handler's calls reach it: by query runners of which
 * none can end the transaction (R9a), and which know when it is over (R9b).
 */
import type { PoolClient } from 'pg';
import { type DataSource, EntityManager, type QueryRunner } from 'typeorm';
import {
  currentAccess,
  type DatabaseAccess,
  insideTransaction,
  ownQueryRunner,
} from './ambient-transaction';
import { CommitHooks, NO_TRANSACTION } from './after-commit';
import { handlerQueryRunner, type Lineage, type Savepoints } from './handler-query-runner';
import { recordRaised } from './raised-errors';
import { transactionControlIn } from './transaction-control';

/** The levels of PostgreSQL, from the weakest. It treats the first two alike. */
const LEVELS = ['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'];

/** SQLSTATE: an earlier statement failed. */
const TRANSACTION_ABORTED = '25P02';

const UNDONE =
  'The transaction of this request was rolled back, so what its handler still writes is refused. ' +
  'Await all work of a handler, or take it out of the request with outsideTransaction().';
const RUNNER_OVER =
  'This query runner, or its manager, belongs to the transaction of a request, and that is over. ' +
  'Get another one, or use repositories.';

type Statement = [text: unknown, values?: unknown, ...rest: unknown[]];
type Send = (...statement: Statement) => unknown;

/** How the transaction stands: while COMMIT is under way, nobody knows how it ends. */
type State = 'open' | 'ending' | 'committed' | 'undone';

interface Nested {
  readonly name: string;
  /** Whether somebody wrote meanwhile who is not inside of it. */
  mixed: boolean;
  /** How much waited for the commit when it began. */
  readonly hooks: number;
}

export class HandlerConnection implements DatabaseAccess, Savepoints {
  private state: State = 'open';
  /** Why the transaction can only be undone. */
  private mistake?: Error;
  /** The last statement that PostgreSQL refused. */
  private failure?: unknown;
  /** Savepoints that are open, in the order of their beginning. */
  private readonly nested: Nested[] = [];
  private count = 0;
  private ambientRunner?: QueryRunner;
  /** What database access does around this transaction, and after it. */
  private around?: DatabaseAccess;
  /** None until something waits for the commit. */
  private hooks?: CommitHooks;
  private wasEntered = false;
  private settle: () => void = () => undefined;
  private settled?: Promise<void>;

  constructor(
    private readonly client: PoolClient,
    private readonly dataSource: DataSource,
  ) {}

  get lastFailure(): unknown {
    return this.failure;
  }

  /** Runs `work` with this transaction as the ambient one. */
  run<T>(work: () => T): T {
    this.around = currentAccess();
    this.wasEntered = true;
    return insideTransaction(this, work);
  }

  runner(): QueryRunner | undefined {
    if (this.state === 'open') {
      return (this.ambientRunner ??= this.runnerHere([], true));
    }
    if (this.state === 'undone') throw new Error(UNDONE);
    return this.state === 'committed' ? this.around?.runner() : undefined;
  }

  createRunner(inside: Lineage = []): QueryRunner {
    if (this.state === 'open') return this.runnerHere([...inside], false);
    if (this.state === 'undone') throw new Error(UNDONE);
    if (this.state === 'committed' && this.around) return this.around.createRunner();
    const runner = ownQueryRunner(this.dataSource);
    if (this.state === 'ending') this.letWait(runner);
    return runner;
  }

  transaction(...given: unknown[]): Promise<unknown> {
    return this.nestedTransaction({}, [], given);
  }

  /** Each with a query runner of its own, so that one that ends out of turn is seen. */
  private async nestedTransaction(
    data: object,
    inside: Lineage,
    given: unknown[],
  ): Promise<unknown> {
    const lineage = [...inside];
    const runner = this.runnerHere(lineage, false);
    runner.data = data;
    // What `work` does by repositories is inside of this transaction, and not beside it.
    const access: DatabaseAccess = {
      runner: () => (runner.isReleased || this.state !== 'open' ? this.runner() : runner),
      createRunner: () => this.createRunner(lineage),
      transaction: (...more) => this.nestedTransaction(data, lineage, more),
      afterCommit: (hook) => this.afterCommit(hook),
    };
    const within = given.map((one) =>
      typeof one === 'function'
        ? (manager: EntityManager) =>
            insideTransaction(access, () => Reflect.apply(one, undefined, [manager]) as unknown)
        : one,
    );
    try {
      return await transactionOf(runner, within);
    } finally {
      await runner.release();
    }
  }

  async begin(level?: string): Promise<string> {
    if (level !== undefined) await this.checkLevel(level);
    const name = `paidonce_${++this.count}`;
    const nested = { name, mixed: false, hooks: this.hooks?.count ?? 0 };
    this.nested.push(nested);
    try {
      await this.send(`SAVEPOINT ${name}`);
    } catch (error) {
      this.nested.splice(this.nested.indexOf(nested), 1);
      throw error;
    }
    return name;
  }

  async end(name: string, how: 'commit' | 'roll back'): Promise<void> {
    if (this.state !== 'open') throw new Error(RUNNER_OVER);
    const nested = this.latest(name);
    if (how === 'roll back') {
      await this.send(`ROLLBACK TO SAVEPOINT ${name}`);
      this.hooks?.dropAllBut(nested.hooks);
      this.latest(name);
      if (nested.mixed) {
        throw this.fail(
          'A nested transaction was rolled back, and with it what others had written at the same time. Await it ' +
            'before others write, or let them write in the work that dataSource.transaction() is given.',
        );
      }
    }
    this.nested.pop();
    try {
      await this.send(`RELEASE SAVEPOINT ${name}`);
    } catch (error) {
      this.nested.push(nested);
      throw error;
    }
  }

  private latest(name: string): Nested {
    const nested = this.nested.at(-1);
    if (nested?.name === name) return nested;
    throw this.fail(
      'Two nested transactions ran at the same time: one ended before another that had begun after it. ' +
        'Await each before the next begins.',
    );
  }

  fail(message: string): Error {
    this.mistake ??= new Error(
      `${message} The transaction of this request can only be undone now.`,
    );
    return this.mistake;
  }

  afterCommit(work: () => unknown): void {
    if (this.state !== 'open') throw new Error(NO_TRANSACTION);
    this.commitHooks().add(work);
  }

  private commitHooks(): CommitHooks {
    return (this.hooks ??= new CommitHooks(this.dataSource));
  }

  /** Whether TypeORM's subscribers are to hear of the commit: a handler's work is in it. */
  get hasSubscribers(): boolean {
    return this.wasEntered && this.dataSource.subscribers.length > 0;
  }

  /** @throws what a subscriber throws that hears of the commit before it: the transaction must be undone */
  async announceCommit(): Promise<void> {
    await insideTransaction(this, () => this.commitHooks().announce(() => this.runner()));
  }

  /** Runs what waits for the commit (R9c). */
  afterTheCommit(): void {
    this.hooks?.run();
  }

  /**
   * The transaction is about to be committed: later statements wait until it is known how it ended.
   *
   * @returns why it can only be undone, where it can
   */
  beginEnd(): Error | undefined {
    if (this.nested.length > 0) {
      this.fail('A nested transaction was still open when the handler had ended. Await it.');
    }
    if (this.mistake) return this.mistake;
    this.state = 'ending';
    this.settled = new Promise((resolve) => (this.settle = resolve));
    return undefined;
  }

  /** How the transaction ended. */
  isOver(state: 'committed' | 'undone'): void {
    this.state = state;
    this.settle();
  }

  /** The error of a statement, in words that name the cure where an earlier one had failed. */
  readonly explain = (error: unknown): unknown => {
    const { code } = error as { code?: unknown };
    if (code !== TRANSACTION_ABORTED) {
      this.failure = recordRaised(error);
      return error;
    }
    const first = this.failure instanceof Error ? ` (${this.failure.message})` : '';
    return new Error(
      `An earlier statement of this transaction failed${first}, and PostgreSQL refuses all others. To go on after ` +
        'an error, put the statement that may fail into a nested transaction: dataSource.transaction().',
      { cause: this.failure ?? error },
    );
  };

  /** A query runner of TypeORM's on this connection. */
  private runnerHere(lineage: Lineage, isAmbient: boolean): QueryRunner {
    const runner = ownQueryRunner(this.dataSource);
    const send: Send = (...statement) => this.sendFrom(lineage, statement);
    const sendAmbient: Send = (...statement) =>
      this.state === 'open' ? this.sendFrom(lineage, statement) : this.sendLate(statement);
    Object.assign(runner.manager, {
      transaction: (...given: unknown[]) => {
        if (this.state !== 'open') throw new Error(RUNNER_OVER);
        if (runner.isReleased) return transactionOf(runner, given);
        return this.nestedTransaction(runner.data, lineage, given);
      },
    });
    const client = this.guarded(isAmbient ? sendAmbient : send);
    return handlerQueryRunner(runner, { client, savepoints: this, lineage, isAmbient });
  }

  /** pg's client, but for the statements that this transaction does not allow. */
  private guarded(query: Send): PoolClient {
    return new Proxy(this.client, {
      get: (client, name) => {
        if (name === 'query') return query;
        const value: unknown = Reflect.get(client, name);
        return typeof value === 'function' ? (value.bind(client) as unknown) : value;
      },
    });
  }

  private sendFrom(lineage: Lineage, [text, values, ...rest]: Statement): unknown {
    if (this.state !== 'open') throw new Error(RUNNER_OVER);
    if (this.mistake) throw this.mistake;
    const sql = typeof text === 'string' ? text : (text as { text?: unknown }).text;
    const control = typeof sql === 'string' ? transactionControlIn(sql, values) : undefined;
    if (control !== undefined) {
      throw this.fail(
        `"${control.trim()}" was sent as a statement, and only this module ends the transaction of a request. ` +
          'Use dataSource.transaction(), or work that outsideTransaction() runs.',
      );
    }
    if (this.nested.length > 0 && !(typeof sql === 'string' && /^\s*select\b/i.test(sql))) {
      for (const nested of this.nested) nested.mixed ||= !lineage.includes(nested.name);
    }
    return this.send(text, values, ...rest);
  }

  private readonly send: Send = (...statement) => {
    if (this.state !== 'open') throw new Error(RUNNER_OVER);
    if (this.mistake) throw this.mistake;
    const sent = sendTo(this.client, statement);
    if (!(sent instanceof Promise)) return sent;
    return sent.catch((error: unknown) => {
      throw this.explain(error);
    });
  };

  /** A call of TypeORM's that is under way when the transaction ends, such as `save()`, still has its runner. */
  private async sendLate(statement: Statement): Promise<unknown> {
    await this.mustHaveCommitted();
    const runner = ownQueryRunner(this.dataSource);
    try {
      const client = (await runner.connect()) as PoolClient;
      return await sendTo(client, statement);
    } finally {
      await runner.release();
    }
  }

  /** Takes the connection only when it is known how the transaction ended. */
  private letWait(runner: QueryRunner): void {
    const connect = runner.connect.bind(runner);
    runner.connect = async () => {
      await this.mustHaveCommitted();
      return connect() as Promise<unknown>;
    };
  }

  /**
   * Later work may go on alone only beside what it belongs to: else part of an undone effect would stay (R9b).
   *
   * @throws Error where the transaction was undone, or nothing may be written outside of it
   */
  private async mustHaveCommitted(): Promise<void> {
    await this.settled;
    if (this.state !== 'committed') throw new Error(UNDONE);
    this.around?.runner();
  }

  private async checkLevel(level: string): Promise<void> {
    const { rows } = (await this.send('SHOW transaction_isolation')) as {
      rows: [{ transaction_isolation: string }];
    };
    const own = rows[0].transaction_isolation.toUpperCase();
    const rank = (name: string) => Math.max(1, LEVELS.indexOf(name));
    if (rank(level) <= rank(own)) return;
    throw new Error(
      `The transaction of this request is ${own}, and a nested one cannot be ${level}: ` +
        `declare @Idempotent({ isolation: '${level}' }).`,
    );
  }
}

const sendTo = (client: PoolClient, statement: Statement): unknown =>
  (client as { query(...given: Statement): unknown }).query(...statement);

/** TypeORM's own `transaction()` of a query runner's manager. */
function transactionOf(runner: QueryRunner, given: unknown[]): Promise<unknown> {
  const { transaction } = EntityManager.prototype as Record<
    'transaction',
    (...more: unknown[]) => unknown
  >;
  return Reflect.apply(transaction, runner.manager, given) as Promise<unknown>;
}
