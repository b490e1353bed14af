/** Health as an API process sees it whose workers are elsewhere. */
import type { Client } from 'pg';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { Program, type RunningServer, startServer, stopAll } from '../support/server';
import { connected, insertFinished, insertUnfinished } from '../jobs/keys.fixture';

jest.setTimeout(60_000);

const PATIENCE_MS = 25_000;

const settings = {
  LOG_LEVEL: 'error',
  PURGE_INTERVAL_SECONDS: '1',
  JOBS_REPORT_INTERVAL_SECONDS: '1',
  HEALTH_MAX_REPORT_LAG_SECONDS: '3',
  HEALTH_MAX_PURGE_LAG_SECONDS: '2',
  HEALTH_MAX_RECOVERY_LAG_SECONDS: '10',
};

interface Seen {
  readonly status: number;
  readonly body: { status: string; message?: string; jobs?: Record<string, number | null> };
}

describe('health', () => {
  let database: FreshDatabase;
  let sql: Client;
  let api: RunningServer;

  beforeEach(async () => {
    database = await freshDatabase();
    const env = { ...settings, JOBS: 'off', IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0' };
    api = await startServer({ databaseUrl: database.url, env });
    sql = await connected(database.url);
  });
  afterEach(async () => {
    await stopAll();
    await sql.end();
    await database.drop();
  });

  const health = async (): Promise<Seen> => {
    const answer = await fetch(`${api.url}/health`);
    return { status: answer.status, body: (await answer.json()) as Seen['body'] };
  };
  const turns = (status: number, message?: string) =>
    eventually(
      `health turns ${status} ${message ?? ''}`,
      async () => {
        const seen = await health();
        return seen.status === status && (seen.body.message ?? '').includes(message ?? '');
      },
      PATIENCE_MS,
    );
  const startWorker = async () => {
    const env = { ...settings, DATABASE_URL: database.url, IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0' };
    const worker = Program.start('worker', { env });
    await worker.says(/paidonce worker runs\n/);
    return worker;
  };

  it('is red once no worker reports any more, although none says so, and green with a new one', async () => {
    const frozen = await startWorker();
    await eventually('a first report', async () => {
      const { body } = await health();
      return typeof body.jobs?.reportedSecondsAgo === 'number';
    });
    frozen.process.kill('SIGSTOP');
    await turns(503, 'No worker has reported for');
    await startWorker();
    await turns(200);
    await frozen.kill9();
    expect((await health()).body.status).toBe('ok');
  });

  it('is red while expired keys wait too long after a worker was killed, and says how long', async () => {
    const killed = await startWorker();
    await killed.kill9();
    await insertFinished(sql, 'shop', 10, 0);
    expect((await health()).status).toBe(200);
    await turns(503, 'An expired key has waited to be purged for');
    expect((await health()).body.message).toMatch(/purged for \d+ s, longer than 3 s\./);
    await startWorker();
    await turns(200);
    expect((await health()).body.jobs).toMatchObject({ purgeLagSeconds: 0 });
  });

  it('is red while abandoned requests wait too long, and counts those that are parked', async () => {
    await startWorker();
    await insertUnfinished(sql, 'parked', 2, 5_000, true);
    await insertUnfinished(sql, 'running', 3, -60);
    const seen = await health();
    expect(seen.status).toBe(200);
    expect(seen.body.jobs).toMatchObject({ unfinished: 5, abandoned: 2, parked: 2 });
    await insertUnfinished(sql, 'abandoned', 1, 60);
    await turns(503, 'An abandoned request has waited to be recovered for 6');
    await sql.query(`DELETE FROM idempotency_keys WHERE account = 'abandoned'`);
    await turns(200);
  });
});
