/** One transaction on one connection of the application's pool. */
import type { PoolClient, QueryConfig } from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';
import type { Isolation } from '../../contract/idempotency.options';
import type { OpenTransaction } from '../open-transaction';
import { CommitFailedError, CommitInDoubtError } from '../store.errors';
import { ownQueryRunner } from './ambient-transaction';
import type { StatementResult } from './batch';
import { keepsOthersWaiting, type ReleasableRunner, sendStatements } from './connection';
import { isConnectionLost, isWorthRepeating, READ_ONLY } from './database-errors';
import { HandlerConnection } from './handler-connection';
import { recordRaised } from './raised-errors';

const BEGIN: QueryConfig = { name: 'paidonce_begin', text: 'BEGIN' };
const BEGIN_AT: Readonly<Record<Isolation, QueryConfig>> = {
  'READ COMMITTED': beginAt('READ COMMITTED'),
  'REPEATABLE READ': beginAt('REPEATABLE READ'),
  SERIALIZABLE: beginAt('SERIALIZABLE'),
};
const COMMIT: QueryConfig = { name: 'paidonce_commit', text: 'COMMIT' };
const ROLLBACK: QueryConfig = { name: 'paidonce_rollback', text: 'ROLLBACK' };
/** Fails in an aborted transaction. */
const PROBE: QueryConfig = { name: 'paidonce_probe', text: 'SELECT 1' };

/** How long an outcome that `phases.finish()` returned may be on its way before others are let in, ms (R9b). */
const GIVE_WAY_AFTER_MS = 500;

export class PostgresTransaction implements OpenTransaction {
  private over = false;
  failure?: unknown;
  /** Why it was undone, where that was not asked for. */
  private undoneBy?: Error;
  private timer?: NodeJS.Timeout;

  private constructor(
    private readonly dataSource: DataSource,
    private readonly runner: QueryRunner,
    private readonly client: PoolClient,
    private readonly connection: HandlerConnection,
  ) {}

  /**
   * Takes a connection and begins, with `statements` in the same round trip.
   *
   * @param waiting whether one of them may wait for a lock
   * @param isolation the server's default where there is none
   * @returns the transaction and the statements' results
   * @throws the first error of a statement; the connection is back in the pool then
   */
  static async begin(
    dataSource: DataSource,
    statements: QueryConfig[],
    { waiting = false, isolation }: { waiting?: boolean; isolation?: Isolation } = {},
  ): Promise<{ transaction: PostgresTransaction; results: StatementResult[] }> {
    const runner = ownQueryRunner(dataSource);
    const client = (await runner.connect()) as PoolClient;
    const connection = new HandlerConnection(client, dataSource);
    const transaction = new PostgresTransaction(dataSource, runner, client, connection);
    const begin = isolation ? BEGIN_AT[isolation] : BEGIN;
    try {
      const [, ...results] = await sendStatements(client, [begin, ...statements], waiting);
      return { transaction, results };
    } catch (error) {
      if (isConnectionLost(error)) await transaction.release(error);
      else await transaction.rollback();
      throw error;
    }
  }

  run<T>(work: () => T): T {
    return this.connection.run(work);
  }

  /**
   * Sends `statements` and COMMIT in one round trip.
   *
   * @returns the statements' results
   * @throws CommitInDoubtError when the reply to COMMIT was lost
   * @throws CommitFailedError when PostgreSQL rolled back instead; its `cause` is the reason
   */
  async commit(statements: QueryConfig[] = []): Promise<StatementResult[]> {
    if (this.over || this.runner.isReleased) {
      // The connection broke while the handler ran, or PostgreSQL ended it for being idle.
      const cause = this.undoneBy;
      throw recordRaised(
        new CommitFailedError('The transaction had ended before it could be committed.', { cause }),
      );
    }
    this.over = true;
    clearTimeout(this.timer);
    const refused = this.connection.hasSubscribers ? await this.announceCommit() : undefined;
    const mistake = this.connection.beginEnd() ?? refused;
    if (mistake) {
      await this.end();
      throw new CommitFailedError('The handler left its transaction unfit.', { cause: mistake });
    }
    try {
      const results = await sendStatements(this.client, [...statements, COMMIT]);
      // pg does not throw when an aborted transaction replies to COMMIT with ROLLBACK.
      if (results.at(-1)?.command !== 'COMMIT') {
        throw new CommitFailedError('PostgreSQL rolled back.', {
          cause: this.connection.lastFailure,
        });
      }
      this.connection.isOver('committed');
      this.connection.hooks?.run();
      await this.release();
      return results.slice(0, -1);
    } catch (error) {
      // A read-only server refuses the statement before the COMMIT, so nothing is in doubt.
      const isRefused = (error as { code?: unknown }).code === READ_ONLY;
      if (isConnectionLost(error) && !isRefused) {
        this.connection.isOver('undone');
        await this.release(error);
        throw new CommitInDoubtError('The reply to COMMIT was lost.', { cause: error }, () =>
          this.connection.hooks?.run(),
        );
      }
      await this.end();
      if (error instanceof CommitFailedError) throw error;
      const cause = this.connection.explain(error);
      throw new CommitFailedError('A statement of the commit failed.', { cause });
    }
  }

  /** @returns what a subscriber of TypeORM's threw when it heard of the commit before it */
  private announceCommit(): Promise<Error | undefined> {
    return this.connection.announceCommit().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** A connection that cannot roll back is closed, which rolls back too. */
  async rollback(): Promise<void> {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    this.connection.isOver('undone');
    this.failure = await this.findFailure();
    await this.end();
  }

  private async findFailure(): Promise<unknown> {
    if (this.runner.isReleased) return recordRaised(new Error('Connection terminated.'));
    const { lastFailure } = this.connection;
    if (lastFailure === undefined || !isWorthRepeating(lastFailure)) return undefined;
    // Where a nested transaction has undone the failed statement, this one is whole.
    return sendStatements(this.client, [PROBE], false).then(
      () => undefined,
      () => lastFailure,
    );
  }

  giveWayLater(): void {
    const giveWay = async () => {
      if (!(await keepsOthersWaiting(this.dataSource, this.client)) || this.over) return;
      this.undoneBy = new Error(
        'An exception filter, or an interceptor outside of the handler, waited for rows that phases.finish() wrote, ' +
          'and the error that it returned is only committed after them. Use these rows in phases.finish() alone.',
      );
      await this.rollback();
    };
    // Should the question fail, PostgreSQL ends the transaction for being idle.
    this.timer = setTimeout(() => void giveWay().catch(() => undefined), GIVE_WAY_AFTER_MS);
    this.timer.unref();
  }

  private async end(): Promise<void> {
    this.connection.isOver('undone');
    if (this.runner.isReleased) return;
    try {
      // Where a statement is under way for longer, the connection is closed instead.
      await sendStatements(this.client, [ROLLBACK], false);
      await this.release();
    } catch (error) {
      await this.release(error);
    }
  }

  private release(error?: unknown): Promise<void> {
    // Internals: release-with-error
    return (this.runner as ReleasableRunner).releasePostgresConnection(error);
  }
}

function beginAt(level: Isolation): QueryConfig {
  const name = `paidonce_begin_${level.toLowerCase().replace(' ', '_')}`;
  return { name, text: `BEGIN ISOLATION LEVEL ${level}` };
}
