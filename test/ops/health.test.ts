/** Health as an API process sees it whose workers are elsewhere. */
import type { Client } from 'pg';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { Program, type RunningServer, startServer, stopAll } from '../support/server';
import { connected, insertFinished, insertUnfinished } from '../jobs/keys.fixture';

const settings = {
  LOG_LEVEL: 'error',
  PURGE_INTERVAL_SECONDS: '1',
  JOBS_REPORT_INTERVAL_SECONDS: '1',
  IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0',
  // Of what a test is not about nothing is ever late.
  HEALTH_MAX_REPORT_LAG_SECONDS: '86400',
  HEALTH_MAX_PURGE_LAG_SECONDS: '86400',
  HEALTH_MAX_RECOVERY_LAG_SECONDS: '86400',
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
  });
  afterEach(async () => {
    await stopAll();
    await sql.end();
    await database.drop();
  });

  const start = async (limits: Record<string, string>) => {
    const env = { ...settings, ...limits, JOBS: 'off' };
    api = await startServer({ databaseUrl: database.url, env });
    sql = await connected(database.url);
  };
  const health = async (): Promise<Seen> => {
    const res = await fetch(`${api.url}/health`);
    return { status: res.status, body: (await res.json()) as Seen['body'] };
  };
  /** What it says once it is so. */
  const turns = async (status: number, message = ''): Promise<Seen['body']> => {
    let seen: Seen | undefined;
    await eventually(`health turns ${status} ${message}`, async () => {
      seen = await health();
      return seen.status === status && (seen.body.message ?? '').includes(message);
    });
    return seen!.body;
  };
  const startWorker = async () => {
    const worker = Program.start('worker', { env: { ...settings, DATABASE_URL: database.url } });
    await worker.says(/paidonce worker runs\n/);
    return worker;
  };

  it('is red once no worker reports any more, although none says so, and green with a new one', async () => {
    await start({ HEALTH_MAX_REPORT_LAG_SECONDS: '3' });
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
    await turns(200);
  });

  it('is red while expired keys wait too long after a worker was killed, and says how long', async () => {
    await start({ HEALTH_MAX_PURGE_LAG_SECONDS: '3600' });
    const killed = await startWorker();
    await killed.kill9();
    await insertFinished(sql, 'shop', 10, 0);
    await turns(200);
    await insertFinished(sql, 'late', 10, 7_200);
    const { message } = await turns(503, 'An expired key has waited to be purged for');
    expect(message).toMatch(/purged for 72\d\d s, longer than 3601 s\./);
    await startWorker();
    await turns(200);
    await eventually(
      'all are purged',
      async () => (await health()).body.jobs?.purgeLagSeconds === 0,
    );
  });

  it('is red while abandoned requests wait too long, and counts those that are parked', async () => {
    await start({ HEALTH_MAX_RECOVERY_LAG_SECONDS: '3600' });
    await startWorker();
    await insertUnfinished(sql, 'parked', { count: 2, leaseSecondsAgo: 50_000, parked: true });
    await insertUnfinished(sql, 'running', { count: 3, leaseSecondsAgo: -3_600 });
    const { jobs } = await turns(200);
    expect(jobs).toMatchObject({ unfinished: 5, abandoned: 2, parked: 2 });
    await insertUnfinished(sql, 'abandoned', { count: 1, leaseSecondsAgo: 7_200 });
    await turns(503, 'An abandoned request has waited to be recovered for 72');
    await sql.query(`DELETE FROM idempotency_keys WHERE account = 'abandoned'`);
    await turns(200);
  });
});
