/** The same jobs on both backends, in worker processes of their own. */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { hasRedis, Redis } from '../support/redis';
import { Program, startServer, stopAll } from '../support/server';
import { connected, countKeys, insertFinished, insertUnfinished } from './keys.fixture';

jest.setTimeout(300_000);

describe.each(['PostgreSQL', 'Redis'])('R19 the jobs on %s', (backend) => {
  const maybe = backend === 'PostgreSQL' || hasRedis ? it : it.skip;
  const onRedis = backend === 'Redis' && hasRedis ? it : it.skip;
  let database: FreshDatabase;
  let redis: Redis | undefined;
  let sql: Client;

  beforeEach(async () => {
    if (backend === 'Redis' && hasRedis) redis = await Redis.start();
    database = await freshDatabase();
    // The schema is there once a process has started.
    const server = await startServer({ databaseUrl: database.url, env: { JOBS: 'off' } });
    await server.stop();
    sql = await connected(database.url);
    // Each report of a job, in the order they came.
    await sql.query(`
      CREATE TABLE runs (job text, at timestamptz DEFAULT clock_timestamp());
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.runs (job) VALUES (new.job); RETURN new; END $$;
      CREATE TRIGGER note AFTER INSERT OR UPDATE ON jobs.reports
        FOR EACH ROW EXECUTE FUNCTION public.note()`);
  });
  afterEach(async () => {
    await stopAll();
    await redis?.stop();
    redis = undefined;
    await sql.end();
    await database.drop();
  });

  const env = () => ({
    DATABASE_URL: database.url,
    LOG_LEVEL: 'error',
    PURGE_INTERVAL_SECONDS: '1',
    JOBS_REPORT_INTERVAL_SECONDS: '1',
    ...(redis && { REDIS_URL: redis.url }),
  });
  const startWorker = async (changes: Record<string, string> = {}) => {
    const worker = Program.start('worker', { env: { ...env(), ...changes } });
    await worker.says(/paidonce worker runs\n/);
    return worker;
  };
  const runs = async (job: string) => {
    const { rows } = await sql.query<{ at: number }>(
      'SELECT extract(epoch FROM at)::float8 AS at FROM runs WHERE job = $1 ORDER BY at',
      [job],
    );
    return rows.map(({ at }) => at);
  };
  const moreRuns = async (job: string, more: number) => {
    const before = (await runs(job)).length;
    const there = async () => (await runs(job)).length >= before + more;
    await eventually(`${more} more runs of ${job}`, there);
  };
  /**
   * Waits for some runs in a row that came one after the other, once a second: several schedules never have
   * any, and one has them soon, however often the machine makes it late.
   */
  const pace = async (job: string) => {
    const { length: before } = await runs(job);
    await eventually(`${job} runs once per interval`, async () => {
      const last = (await runs(job)).slice(before).slice(-6);
      // Three schedules would take a third of the time.
      return last.length === 6 && (last[5] ?? 0) - (last[0] ?? 0) > 0.7 * 5;
    });
  };

  maybe(
    'run once per interval, however many workers there are, and go on when one dies',
    async () => {
      const [first, second, third] = await Promise.all([
        startWorker(),
        startWorker(),
        startWorker(),
      ]);
      await moreRuns('report', 2);
      for (const job of ['report', 'purge']) await pace(job);
      await Promise.all([first.kill9(), second.kill9()]);
      await moreRuns('report', 3);
      await third.kill9();
      const again = await startWorker();
      await moreRuns('report', 2);
      await pace('report');
      expect(await again.stop()).toEqual({ code: 0, signal: null });
      expect(again.stderr).toBe('');
    },
  );

  maybe('purge to the end of the backlog, finished keys alone, and report it', async () => {
    await insertFinished(sql, 'expired', 2_500, 3_600);
    await insertFinished(sql, 'alive', 10, -3_600);
    await insertUnfinished(sql, 'unfinished', { count: 3, leaseSecondsAgo: -3_600 });
    const worker = await startWorker();
    await eventually('all are purged', async () => (await countKeys(sql, 'expired')) === 0);
    expect(await countKeys(sql, 'alive')).toBe(10);
    expect(await countKeys(sql, 'unfinished')).toBe(3);
    await worker.stop();
    await insertFinished(sql, 'expired', 2_500, 3_600);
    const next = await startWorker({ PURGE_INTERVAL_SECONDS: '3600' });
    await moreRuns('purge', 1);
    const { rows } = await sql.query<{ figures: Record<string, number> }>(
      `SELECT figures FROM jobs.reports WHERE job = 'purge'`,
    );
    expect(rows[0]?.figures).toMatchObject({ removed: 2_500 });
    expect(rows[0]?.figures.batches).toBeGreaterThanOrEqual(2);
    expect(rows[0]?.figures.lagSeconds).toBeGreaterThanOrEqual(3_600);
    await next.stop();
  });

  maybe('stop between two batches, before the database, and leave no error', async () => {
    await insertFinished(sql, 'expired', 60_000, 3_600);
    const batch = await heldBatch(sql, database.url);
    const worker = await startWorker();
    await eventually('a batch is under way', batch.arrived);
    const stopped = worker.stop();
    await batch.release();
    expect(await stopped).toEqual({ code: 0, signal: null });
    expect(worker.stderr).toBe('');
    // That batch, and at most another that had begun when the process got the signal.
    const left = await countKeys(sql, 'expired');
    expect(left).toBeLessThan(60_000);
    expect(left).toBeGreaterThan(40_000);
  });

  onRedis('are declared again after a flush', async () => {
    const worker = await startWorker();
    await moreRuns('report', 1);
    await redis?.command('FLUSHALL');
    await moreRuns('report', 3);
    await worker.stop();
  });

  onRedis('wait for a Redis that is away, while requests are served', async () => {
    await redis?.kill9();
    const server = await startServer({ databaseUrl: database.url, env: env() });
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect(await runs('report')).toHaveLength(0);
    await redis?.startAgain();
    await moreRuns('report', 2);
    redis?.freeze();
    // While it is frozen, which would be for ever.
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    redis?.thaw();
    expect(server.program.stderr).toBe('');
  });
});

/** Holds every batch of the purge in its transaction until it is let go. */
async function heldBatch(sql: Client, databaseUrl: string) {
  const lock = 42;
  await sql.query(`
    CREATE FUNCTION hold_batch() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${lock}); RETURN NULL; END $$;
    CREATE TRIGGER hold_batch BEFORE DELETE ON idempotency_keys
      FOR EACH STATEMENT EXECUTE FUNCTION hold_batch()`);
  const holder = new Client({ connectionString: databaseUrl });
  await holder.connect();
  await holder.query('SELECT pg_advisory_lock($1)', [lock]);
  return {
    arrived: async () => {
      const { rowCount } = await sql.query(
        `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
        [lock],
      );
      return (rowCount ?? 0) > 0;
    },
    release: () => holder.end(),
  };
}

describe('R19 the jobs on the embedded PostgreSQL', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'paidonce-jobs-'));
    chmodSync(home, 0o755);
  });
  afterEach(async () => {
    await stopAll();
    rmSync(home, { recursive: true, force: true });
  });

  it('go on after it was killed, and nothing else in the process stands still meanwhile', async () => {
    const dataDir = join(home, 'data');
    const env = { DATA_DIR: dataDir, JOBS_REPORT_INTERVAL_SECONDS: '1' };
    const server = await startServer({ env });
    const reported = async () => {
      const res = await fetch(`${server.url}/health`, { signal: AbortSignal.timeout(60_000) });
      const { jobs } = (await res.json()) as { jobs?: { reportedSecondsAgo: number | null } };
      return jobs?.reportedSecondsAgo ?? Number.POSITIVE_INFINITY;
    };
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid');
    for (let killed = 0; killed < 4; killed += 1) {
      await eventually('a fresh report', async () => (await reported()) < 0.5);
      process.kill(Number(readFileSync(pidFile, 'utf8').split('\n', 1)[0]), 'SIGKILL');
      await eventually('its end is seen', async () => (await reported()) > 0.9);
    }
    await eventually('a fresh report', async () => (await reported()) < 0.5);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});
