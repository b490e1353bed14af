/** How a migration locks tables that other processes use. */
import { setTimeout as pause } from 'node:timers/promises';
import { QueryFailedError, type QueryRunner } from 'typeorm';
import { DatabaseUnavailableError } from './opening';

/**
 * Longest wait for the lock of one table, ms. All of them together are less than the second after which
 * PostgreSQL looks for deadlocks, so that no request of a running process is ever the victim of one.
 */
const LOCK_WAIT_MS = 100;
const LOCK_PAUSE_MS = 100;
/** PostgreSQL ends idle transactions sooner. */
const LOCK_DEADLINE_MS = 60_000;
/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Locks tables until the migration's transaction ends. All of them or none, and none is held while another
 * is waited for longer than a moment: requests that run in other processes go on.
 *
 * @throws DatabaseUnavailableError where other processes have not let go of them for a minute
 */
export async function lockTables(runner: QueryRunner, tables: readonly string[]): Promise<void> {
  const deadline = performance.now() + LOCK_DEADLINE_MS;
  await runner.query(`SET LOCAL lock_timeout = ${LOCK_WAIT_MS}`);
  await runner.query('SAVEPOINT unlocked');
  for (;;) {
    try {
      await runner.query(`LOCK TABLE ${tables.join(', ')} IN ACCESS EXCLUSIVE MODE`);
      return;
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      await runner.query('ROLLBACK TO SAVEPOINT unlocked');
      if (performance.now() > deadline) {
        throw new DatabaseUnavailableError(
          `The schema cannot be changed: for ${LOCK_DEADLINE_MS / 1_000} s other processes have not ` +
            `let go of ${tables.join(', ')}. Stop them and start again.`,
          { cause: error },
        );
      }
      await pause(LOCK_PAUSE_MS);
    }
  }
}

function isLockTimeout(error: unknown): boolean {
  const { code } =
    error instanceof QueryFailedError ? (error.driverError as { code?: string }) : {};
  return code === LOCK_NOT_AVAILABLE;
}
