/** What is to happen once a handler's transaction is committed, and never where it was undone (R9c). */
import { Logger } from '@nestjs/common';
import { AsyncResource } from 'node:async_hooks';
import type { DataSource, QueryRunner } from 'typeorm';
import { currentAccess, outsideTransaction, ownQueryRunner } from './ambient-transaction';

/**
 * Runs `work` once, after the COMMIT of the transaction that this is called in: the request's, or that of the
 * phase. It runs outside of any transaction, in phased operations too; the response does not wait for it, and its
 * error goes to the log. Not on a replay, and not where the transaction, or the nested one around the call, is
 * undone. A crash loses it, as does a COMMIT whose reply was lost and that was not settled: what must not be lost
 * is written in the transaction.
 *
 * @throws Error where no transaction of a request is open
 */
export function afterCommit(work: () => unknown): void {
  const access = currentAccess();
  if (!access?.afterCommit) throw new Error(NO_TRANSACTION);
  access.afterCommit(work);
}

export const NO_TRANSACTION =
  'afterCommit() was called where no transaction of a request is open. Call it in an atomic handler, in ' +
  'phases.local() or in phases.finish().';

/** What waits for one COMMIT, in the order in which it was asked for. */
export class CommitHooks {
  private readonly log = new Logger('Idempotency');
  private hooks: (() => Promise<unknown>)[] = [];

  constructor(private readonly dataSource: DataSource) {}

  get count(): number {
    return this.hooks.length;
  }

  add(work: () => unknown): void {
    // With all else that is ambient where it was asked for.
    this.hooks.push(AsyncResource.bind(async () => outsideTransaction(work)));
  }

  /** A nested transaction was undone that had begun when there were so many. */
  dropAllBut(count: number): void {
    this.hooks.length = count;
  }

  /**
   * TypeORM's subscribers hear of it, and may still write.
   *
   * @param runner of the transaction
   * @throws what a subscriber throws: the transaction is undone then
   */
  async announce(runner: () => QueryRunner | undefined): Promise<void> {
    await runner()?.broadcaster.broadcast('BeforeTransactionCommit');
  }

  /** The transaction is committed: runs them all, once. */
  run(): void {
    const { hooks } = this;
    this.hooks = [];
    if (this.dataSource.subscribers.length > 0) hooks.unshift(() => this.tellSubscribers());
    for (const hook of hooks) {
      void hook().catch((error: unknown) =>
        this.log.error(`After the commit: ${error instanceof Error ? error.stack : String(error)}`),
      );
    }
  }

  private async tellSubscribers(): Promise<void> {
    // Of its own: the transaction's has ended with it.
    const runner = ownQueryRunner(this.dataSource);
    try {
      await outsideTransaction(() => runner.broadcaster.broadcast('AfterTransactionCommit'));
    } finally {
      await runner.release();
    }
  }
}
