/**
 * The connection of a handler's transaction, as the handler's calls reach it: by query runners of which
 * none can end the transaction (R9a), and which know when it is over (R9b).
 */
import type { PoolClient } from 'pg';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import {
  currentAccess,
  type DatabaseAccess,
  insideTransaction,
  ownQueryRunner,
} from './ambient-transaction';
import { CommitHooks, NO_TRANSACTION } from './after-commit';
import {
  clientSending,
  handlerQueryRunner,
  type Lineage,
  type Send,
  sendTo,
  type Statement,
  transactionOf,
} from './handler-query-runner';
import { type NestingConnection, NestedTransactions } from './nested-transactions';
import { recordRaised } from './raised-errors';
import { abortedError, runnerOverError, undoneError } from './statement.errors';
import { transactionControlIn } from './transaction-control';

/** SQLSTATE: an earlier statement failed. */
const TRANSACTION_ABORTED = '25P02';

/** How the transaction stands: while COMMIT is under way, nobody knows how it ends. */
type State = 'open' | 'ending' | 'committed' | 'undone';

export class HandlerConnection implements DatabaseAccess, NestingConnection {
  private state: State = 'open';
  /** Why the transaction can only be undone. */
  private mistake?: Error;
  /** The error of the last statement that PostgreSQL refused. */
  lastFailure?: unknown;
  private readonly nested = new NestedTransactions(this);
  private ambientRunner?: QueryRunner;
  /** What database access does around this transaction, and after it. */
  private around?: DatabaseAccess;
  /** None until something waits for the commit. */
  hooks?: CommitHooks;
  private wasEntered = false;
  private settle: () => void = () => undefined;
  private settled?: Promise<void>;

  constructor(
    private readonly client: PoolClient,
    private readonly dataSource: DataSource,
  ) {}

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
    if (this.state === 'undone') throw undoneError();
    return this.state === 'committed' ? this.around?.runner() : undefined;
  }

  createRunner(inside: Lineage = []): QueryRunner {
    if (this.state === 'open') return this.runnerHere([...inside], false);
    if (this.state === 'undone') throw undoneError();
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

  /** From here on the transaction can only be undone. @returns the error that says why */
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

  /**
   * The transaction is about to be committed: later statements wait until it is known how it ended.
   *
   * @returns why it can only be undone, where it can
   */
  beginEnd(): Error | undefined {
    if (this.nested.areOpen) {
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
      this.lastFailure = recordRaised(error);
      return error;
    }
    return abortedError(this.lastFailure ?? error);
  };

  /** @throws Error for a query runner whose transaction is over */
  requireOpen(): void {
    if (this.state !== 'open') throw runnerOverError();
  }

  /** A query runner of TypeORM's on this connection. */
  private runnerHere(lineage: Lineage, isAmbient: boolean): QueryRunner {
    const runner = ownQueryRunner(this.dataSource);
    const send: Send = (...statement) => this.sendFrom(lineage, statement);
    const sendAmbient: Send = (...statement) =>
      this.state === 'open' ? this.sendFrom(lineage, statement) : this.sendLate(statement);
    Object.assign(runner.manager, {
      transaction: (...given: unknown[]) => {
        if (this.state !== 'open') throw runnerOverError();
        if (runner.isReleased) return transactionOf(runner, given);
        return this.nestedTransaction(runner.data, lineage, given);
      },
    });
    const client = clientSending(this.client, isAmbient ? sendAmbient : send);
    return handlerQueryRunner(runner, { client, savepoints: this.nested, lineage, isAmbient });
  }

  private sendFrom(lineage: Lineage, [text, values, ...rest]: Statement): unknown {
    this.requireOpen();
    if (this.mistake) throw this.mistake;
    const sql = typeof text === 'string' ? text : (text as { text?: unknown }).text;
    const control = typeof sql === 'string' ? transactionControlIn(sql, values) : undefined;
    if (control !== undefined) {
      throw this.fail(
        `"${control.trim()}" was sent as a statement, and only this module ends the transaction of a request. ` +
          'Use dataSource.transaction(), or work that outsideTransaction() runs.',
      );
    }
    if (!(typeof sql === 'string' && /^\s*select\b/i.test(sql))) this.nested.recordWrite(lineage);
    return this.send(text, values, ...rest);
  }

  readonly send: Send = (...statement) => {
    this.requireOpen();
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
    if (this.state !== 'committed') throw undoneError();
    this.around?.runner();
  }
}
