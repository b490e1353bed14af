/** The same jobs on both backends, in worker processes of their own. */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { hasRedis, Redis } from '../support/redis';
import { Program, startServer, stopAll } from '../support/server';
import { connected, countKeys, insertFinished, insertUnfinished } from './keys.fixture';

jest.setTimeout(90_000);

const PATIENCE_MS = 20_000;

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
    await eventually(`${more} more runs of ${job}`, there, PATIENCE_MS);
    return (await runs(job)).slice(before);
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
      for (const job of ['report', 'purge']) {
        const times = await moreRuns(job, 6);
        const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
        // Three schedules would take a third of the time.
        expect(span).toBeGreaterThan(0.7 * (times.length - 1));
      }
      await Promise.all([first.kill9(), second.kill9()]);
      await moreRuns('report', 3);
      await third.kill9();
      const again = await startWorker();
      await moreRuns('report', 2);
      const times = await moreRuns('report', 5);
      expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(0.7 * (times.length - 1));
      expect(await again.stop()).toEqual({ code: 0, signal: null });
      expect(again.stderr).toBe('');
    },
  );

  maybe('purge to the end of the backlog, finished keys alone, and report it', async () => {
    await insertFinished(sql, 'expired', 2_500, 3_600);
    await insertFinished(sql, 'alive', 10, -3_600);
    await insertUnfinished(sql, 'unfinished', 3, -3_600);
    const worker = await startWorker();
    await eventually('all are purged', async () => (await countKeys(sql, 'expired')) === 0, 9_000);
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
    const worker = await startWorker();
    const begun = async () => (await countKeys(sql, 'expired')) < 60_000;
    await eventually('the purge has begun', begun, PATIENCE_MS);
    const asked = performance.now();
    expect(await worker.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - asked).toBeLessThan(3_000);
    expect(worker.stderr).toBe('');
    expect(await countKeys(sql, 'expired')).toBeGreaterThan(0);
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
    const asked = performance.now();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - asked).toBeLessThan(6_000);
    redis?.thaw();
    expect(server.program.stderr).toBe('');
  });
});

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
      const answer = await fetch(`${server.url}/health`, { signal: AbortSignal.timeout(3_000) });
      const { jobs } = (await answer.json()) as { jobs?: { reportedSecondsAgo: number | null } };
      return jobs?.reportedSecondsAgo ?? Number.POSITIVE_INFINITY;
    };
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid');
    for (let killed = 0; killed < 4; killed += 1) {
      await eventually('a fresh report', async () => (await reported()) < 0.5, PATIENCE_MS);
      process.kill(Number(readFileSync(pidFile, 'utf8').split('\n', 1)[0]), 'SIGKILL');
      await eventually('its end is seen', async () => (await reported()) > 0.9, PATIENCE_MS);
    }
    await eventually('a fresh report', async () => (await reported()) < 0.5, PATIENCE_MS);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});
