/** The purge: how fast, and what requests feel of it. */
import { setTimeout as pause } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { DatabaseClock } from '../src/idempotency/store/database-clock';
import { PostgresKeyStore } from '../src/idempotency/store/postgres/postgres-key.store';
import { PurgeJob } from '../src/idempotency/recovery/purge.job';
import { insertFinished } from '../test/jobs/keys.fixture';
import { type Extent, median, perSecond, ratioOf, type Row } from './figures';
import type { Stage } from './stage';

const KEYS = 200_000;
const DAY_S = 86_400;

export async function measurePurge(stage: Stage, extent: Extent): Promise<Row[]> {
  const served = await stage.start();
  const dataSource = new DataSource({
    type: 'postgres',
    url: stage.databaseUrl,
    extra: { max: 1 },
  });
  await dataSource.initialize();
  const job = new PurgeJob(new PostgresKeyStore(dataSource, 10_000, new DatabaseClock()));
  const keys = extent.quick ? 5_000 : KEYS;
  const rates: { purge: number[]; statement: number[] } = { purge: [], statement: [] };
  for (let round = 0; round < extent.rounds; round += 1) {
    rates.purge.push(await rateOf(stage, keys, () => job.runOnce()));
    rates.statement.push(
      await rateOf(stage, keys, () =>
        stage.sql.query(
          'DELETE FROM idempotency_keys WHERE expires_at <= now() AND status IS NOT NULL',
        ),
      ),
    );
  }
  const p99: { without: number[]; during: number[] } = { without: [], during: [] };
  const foreground = () =>
    stage.send({
      url: `${served.url}/ours/named`,
      body: '{"amount":1}',
      key: 'new',
      connections: 8,
      seconds: extent.seconds,
    });
  await foreground();
  await fill(stage, keys * 10); // more than all rounds remove
  for (let round = 0; round < extent.rounds; round += 1) {
    p99.without.push((await foreground()).p99);
    const stop = new AbortController();
    const purge = job.runOnce(stop.signal);
    await pause(100);
    p99.during.push((await foreground()).p99);
    stop.abort();
    const { removed } = await purge;
    extent.say(`${removed.toLocaleString('en')} keys removed under load`);
  }
  await dataSource.destroy();
  await served.stop();
  const ratio = ratioOf(rates.purge, rates.statement);
  const disturbance = ratioOf(p99.during, p99.without);
  return [
    {
      case: `purge of ${keys.toLocaleString('en')} keys`,
      against: 'one DELETE of the same rows',
      ours: perSecond(median(rates.purge)),
      theirs: perSecond(median(rates.statement)),
      ratio,
      goal: '≥ 0.5',
      reached: ratio.median >= 0.5,
    },
    {
      case: `p99 of requests while ${(keys * 10).toLocaleString('en')} keys are purged`,
      against: 'without a purge',
      ours: `${median(p99.during)} ms`,
      theirs: `${median(p99.without)} ms`,
      ratio: disturbance,
      goal: '≤ 1.5',
      reached: disturbance.median <= 1.5,
    },
  ];
}

async function rateOf(stage: Stage, keys: number, purge: () => Promise<unknown>): Promise<number> {
  await fill(stage, keys);
  const started = performance.now();
  await purge();
  return (keys / (performance.now() - started)) * 1_000;
}

async function fill({ sql }: Stage, keys: number): Promise<void> {
  for (let account = 0; account < 10; account += 1) {
    await insertFinished(sql, `expired-${account}`, keys / 10, DAY_S - account);
  }
  await sql.query('ANALYZE idempotency_keys');
  await sql.query('CHECKPOINT');
}
