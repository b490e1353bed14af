/**
 * The table when it is large: the same work at 10,000 and at 10,000,000 keys, its size, its purge, and
 * what phases cost it. Two databases on one server, so that both sizes are measured in turns.
 *
 * BENCH_KEYS says how many keys are many, in whole thousands. Ten million need 25 GB of the
 * temporary directory while they are loaded.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { DatabaseClock } from '../src/idempotency/store/database-clock';
import { PostgresKeyStore } from '../src/idempotency/store/postgres/postgres-key.store';
import { PurgeJob } from '../src/idempotency/recovery/purge.job';
import { freshDatabase } from '../test/support/database';
import { type Extent, median, perSecond, ratioOf, type Row } from './figures';
import { RESPONSE_BYTES, anyFinished, copyKeys, type Life } from './keys';
import type { Numbered, Stretch } from './load';
import type { Served, Stage } from './stage';

const GOAL_BYTES = 820;
/** As many as recovery asks for. */
const FOUND_AT_ONCE = 200;
const LOOK_UPS = 50;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const BODY = '{"amount":2000}';
const SETTINGS = {
  REPLAY_MEMORY_BYTES: '0',
  // As long as real ones.
  ACCOUNT: 'account-500',
  MODE: 'test',
  // Each lost request would be an error in it. The load reports failures under load.
  LOG: 'off',
};

/** How much there is of everything. */
interface Amounts {
  readonly small: number;
  readonly large: number;
  /** Of the large table; one half for the purge, the other for what it is compared with. */
  readonly expired: number;
  /** Phased requests whose owner is gone, in each table. */
  readonly abandoned: number;
}

/** One of the two databases, and the application on it. */
interface Side {
  readonly sql: Client;
  readonly served: Served;
  readonly dataSource: DataSource;
  readonly store: PostgresKeyStore;
  /** The keys that can be replayed: all that have not expired. */
  readonly live: Required<Numbered>;
  readonly counted: string;
}

interface Sides {
  readonly small: Side;
  readonly large: Side;
}

type Close = () => Promise<unknown>;

export async function measureScale(stage: Stage, extent: Extent): Promise<Row[]> {
  const amounts = amountsOf(extent);
  const closing: Close[] = [];
  try {
    const database = await freshDatabase();
    closing.push(() => database.drop());
    const start = (url: string) => stage.start({ ...SETTINGS, DATABASE_URL: url });
    const served = await Promise.all([start(stage.databaseUrl), start(database.url)]);
    const keys = {
      small: { from: 0, to: amounts.small },
      large: { from: amounts.expired, to: amounts.large },
    };
    const small = await openSide(served[0], stage.databaseUrl, keys.small, closing);
    const large = await openSide(served[1], database.url, keys.large, closing);
    const sides = { small, large };
    await makeKeys(stage, small, amounts.small);
    const sample = await sizesOf(small.sql);
    await abandon(small, amounts.abandoned);
    await load(sides, amounts, extent);
    const storage = storageRow(sides, await sizesOf(large.sql), sample);
    return [
      await claims(stage, sides, extent),
      await replays(stage, sides, extent),
      await lookUps(sides),
      storage,
      await hotUpdates(stage, large, extent),
      await purge(large, amounts),
    ];
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

function amountsOf({ quick }: Extent): Amounts {
  const large = Number(process.env.BENCH_KEYS ?? (quick ? 20_000 : 10_000_000));
  if (!(large > 0 && large % 1_000 === 0)) throw new Error('BENCH_KEYS: whole thousands only.');
  const small = quick ? 1_000 : 10_000;
  return { small, large, expired: large / 10, abandoned: quick ? 200 : 1_000 };
}

async function openSide(
  served: Served,
  url: string,
  live: Required<Numbered>,
  closing: Close[],
): Promise<Side> {
  closing.push(() => served.stop());
  const sql = new Client({ connectionString: url });
  await sql.connect();
  closing.push(() => sql.end());
  const dataSource = new DataSource({ type: 'postgres', url, extra: { max: 1 } });
  await dataSource.initialize();
  closing.push(() => dataSource.destroy());
  const store = new PostgresKeyStore(dataSource, 10_000, new DatabaseClock());
  return { sql, served, dataSource, store, live, counted: live.to.toLocaleString('en') };
}

/** By requests: these rows are the product's own, and show what those that are loaded must be like. */
async function makeKeys(stage: Stage, { sql, served }: Side, amount: number): Promise<void> {
  const url = `${served.url}/ours/payment`;
  await stage.send({ url, body: BODY, key: { from: 0 }, connections: 20, amount });
  await settle(sql);
}

/** Finished keys by the million, made of one that the product stored, and lost requests between them. */
async function load({ small, large }: Sides, amounts: Amounts, { say }: Extent): Promise<void> {
  const { sql } = large;
  const started = performance.now();
  const template = await anyFinished(small.sql);
  const lives = livesOf(amounts);
  const parts = amounts.abandoned / 10;
  const part = amounts.large / parts;
  await loosely(sql, async () => {
    for (let done = 1; done <= parts; done += 1) {
      await copyKeys(sql, template, { from: (done - 1) * part, to: done * part }, lives);
      await abandon(large, 10);
      if (done % (parts / 10) === 0) say(`${(done * part).toLocaleString('en')} keys`);
    }
  });
  const loaded = performance.now();
  await settle(sql);
  const seconds = (from: number, to: number) => `${((to - from) / 1_000).toFixed(1)} s`;
  say(`loaded in ${seconds(started, loaded)}, vacuumed in ${seconds(loaded, performance.now())}`);
}

/** Begun one after the other all day long, and none of them expires while it is measured. */
function livesOf({ large, expired }: Amounts): (n: number) => Life {
  const now = Date.now();
  return (n) => {
    const to =
      n < expired
        ? now - 2 * HOUR_MS + (n / expired) * HOUR_MS
        : now + 2 * HOUR_MS + ((n - expired) / (large - expired)) * 22 * HOUR_MS;
    return { from: to - DAY_MS, to };
  };
}

/** Without the settings that make a long load slow: it is not measured, and is vacuumed and on disk afterwards. */
async function loosely(sql: Client, work: () => Promise<void>): Promise<void> {
  await sql.query('ALTER TABLE idempotency_keys SET (autovacuum_enabled = false)');
  await sql.query('ALTER SYSTEM SET full_page_writes = off');
  await sql.query(`ALTER SYSTEM SET max_wal_size = '8GB'`);
  await sql.query('SELECT pg_reload_conf()');
  try {
    await work();
  } finally {
    await sql.query('ALTER SYSTEM RESET full_page_writes');
    await sql.query('ALTER SYSTEM RESET max_wal_size');
    await sql.query('SELECT pg_reload_conf()');
    await sql.query('ALTER TABLE idempotency_keys RESET (autovacuum_enabled)');
  }
}

async function settle(sql: Client): Promise<void> {
  await sql.query('VACUUM ANALYZE idempotency_keys');
  await sql.query('CHECKPOINT');
}

/** Phased requests whose far side did not respond. */
async function abandon({ served }: Side, amount: number): Promise<void> {
  const together = 10;
  for (let done = 0; done < amount; done += together) {
    await Promise.all(Array.from({ length: together }, () => abandonOne(served)));
  }
}

async function abandonOne({ url }: Served): Promise<void> {
  const res = await fetch(`${url}/ours/phased`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
    body: '{"amount":2000,"lost":true}',
  });
  await res.arrayBuffer();
  if (res.status !== 503) throw new Error(`A lost request got ${res.status}.`);
}

async function claims(stage: Stage, sides: Sides, extent: Extent): Promise<Row> {
  let from = 1_000_000_000; // none of the loaded ones
  const rates = await inTurns(sides, extent, async (side, length) => {
    from += 10_000_000;
    const rate = await payments(stage, side, { from }, length);
    if (side === sides.small) await keepSmall(side);
    return rate;
  });
  return compared('atomic', sides, rates);
}

/** Removes the keys that a measurement has added, which are more than there were. */
async function keepSmall({ sql, live }: Side): Promise<void> {
  await sql.query(
    `DELETE FROM idempotency_keys WHERE status IS NOT NULL AND created_at > (
      SELECT created_at FROM idempotency_keys WHERE status IS NOT NULL
      ORDER BY created_at OFFSET $1 LIMIT 1)`,
    [live.to - 1],
  );
  await sql.query('VACUUM ANALYZE idempotency_keys');
}

async function replays(stage: Stage, sides: Sides, extent: Extent): Promise<Row> {
  const rates = await inTurns(sides, extent, (side, length) =>
    payments(stage, side, side.live, length),
  );
  return compared('replay of any key from PostgreSQL', sides, rates);
}

type Length = Pick<Stretch, 'seconds' | 'amount'>;

async function payments(
  stage: Stage,
  { served }: Side,
  key: Numbered,
  length: Length,
): Promise<number> {
  const url = `${served.url}/ours/payment`;
  return (await stage.send({ url, body: BODY, key, connections: 32, ...length })).rate;
}

async function inTurns(
  { small, large }: Sides,
  { quick, rounds, seconds }: Extent,
  rateAt: (side: Side, length: Length) => Promise<number>,
): Promise<Rates> {
  const rates: Rates = { small: [], large: [] };
  for (const side of quick ? [] : [small, large]) await rateAt(side, { amount: 5_000 });
  for (let round = 0; round < rounds; round += 1) {
    rates.small.push(await rateAt(small, { seconds }));
    rates.large.push(await rateAt(large, { seconds }));
  }
  return rates;
}

interface Rates {
  readonly small: number[];
  readonly large: number[];
}

function compared(what: string, { small, large }: Sides, rates: Rates): Row {
  const ratio = ratioOf(rates.large, rates.small);
  return {
    case: `${what} at ${large.counted} keys`,
    against: `at ${small.counted}`,
    ours: perSecond(median(rates.large)),
    theirs: perSecond(median(rates.small)),
    ratio,
    goal: '≥ 0.95',
    reached: ratio.median >= 0.95,
  };
}

async function lookUps({ small, large }: Sides): Promise<Row> {
  const times: Rates = { small: [], large: [] };
  for (let call = 0; call < LOOK_UPS; call += 1) {
    times.small.push(await timeOfLookUp(small));
    times.large.push(await timeOfLookUp(large));
  }
  const plan = { small: await planOfLookUp(small), large: await planOfLookUp(large) };
  const scanned = [...new Set(scansOf(plan.large))];
  const describeRead = (ms: number[], read: Plan) =>
    `${median(ms).toFixed(2)} ms, ${pagesOf(read)} pages`;
  return {
    case: `${FOUND_AT_ONCE} abandoned of ${large.counted} keys found`,
    against: `of ${small.counted}`,
    ours: `${describeRead(times.large, plan.large)} by ${scanned.join(', ')}`,
    theirs: describeRead(times.small, plan.small),
    goal: 'by the lease index alone',
    reached: scanned.every((name) => /lease/.test(name)),
  };
}

async function timeOfLookUp({ store }: Side): Promise<number> {
  const started = performance.now();
  const { length } = await store.findAbandoned(FOUND_AT_ONCE);
  if (length !== FOUND_AT_ONCE) throw new Error(`${length} abandoned keys were found.`);
  return performance.now() - started;
}

interface Plan {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: Plan[];
}

/** How PostgreSQL runs the very statement that the store sends. */
async function planOfLookUp({ dataSource }: Side): Promise<Plan> {
  let statement: readonly [string, unknown[]] = ['', []];
  const spy = {
    query: (text: string, values: unknown[]) => {
      statement = [text, values];
      return Promise.resolve([]);
    },
  };
  const store = new PostgresKeyStore(spy as unknown as DataSource, 10_000, new DatabaseClock());
  await store.findAbandoned(FOUND_AT_ONCE);
  const [text, values] = statement;
  const [row] = await dataSource.query<{ 'QUERY PLAN': [{ Plan: Plan }] }[]>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
    values,
  );
  if (!row) throw new Error('PostgreSQL showed no plan.');
  return row['QUERY PLAN'][0].Plan;
}

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
const scansOf = (plan: Plan) =>
  nodesOf(plan)
    .filter((node) => node['Node Type'].includes('Scan'))
    .map((node) => node['Index Name'] ?? node['Node Type']);
const pagesOf = (plan: Plan) => plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];

/** Bytes for each key: in all, and of each part. */
interface Sizes {
  readonly total: number;
  readonly parts: readonly { readonly part: string; readonly bytes: number }[];
}

async function sizesOf(sql: Client): Promise<Sizes> {
  const { rows } = await sql.query<{ part: string; bytes: number }>(
    `WITH sizes AS (
        SELECT 0 AS at, 'total' AS part, pg_total_relation_size('idempotency_keys') AS bytes
        UNION ALL SELECT 1, 'heap', pg_relation_size('idempotency_keys')
        UNION ALL SELECT 2, replace(indexrelid::regclass::text, 'idempotency_keys_', ''),
            pg_relation_size(indexrelid)
          FROM pg_index WHERE indrelid = 'idempotency_keys'::regclass
        UNION ALL SELECT 3, 'toast', pg_total_relation_size(reltoastrelid)
          FROM pg_class WHERE oid = 'idempotency_keys'::regclass AND reltoastrelid <> 0)
      SELECT part, bytes::float8 / (SELECT count(*) FROM idempotency_keys) AS bytes
        FROM sizes ORDER BY at, bytes DESC`,
  );
  const [total, ...parts] = rows;
  return { total: total?.bytes ?? Number.NaN, parts };
}

function storageRow({ small, large }: Sides, { total, parts }: Sizes, sample: Sizes): Row {
  const bytesByPart = parts.map(({ part, bytes }) => `${part} ${bytes.toFixed(0)}`).join(', ');
  return {
    case: `storage at ${large.counted} keys, a ${RESPONSE_BYTES}-byte response`,
    against: `${small.counted} keys made by requests`,
    ours: `${total.toFixed(0)} bytes per key: ${bytesByPart}`,
    theirs: `${sample.total.toFixed(0)} bytes per key`,
    goal: `≤ ${GOAL_BYTES}`,
    reached: total <= GOAL_BYTES,
  };
}

/** The last that its application does: when it ends, all of its sessions have reported their work. */
async function hotUpdates(
  stage: Stage,
  { sql, served, counted }: Side,
  { seconds }: Extent,
): Promise<Row> {
  const before = await updatesOf(sql);
  const url = `${served.url}/ours/phased`;
  await stage.send({ url, body: BODY, key: 'new', connections: 32, seconds });
  await served.stop();
  await pause(500); // sessions whose client has gone end a moment later
  const after = await updatesOf(sql);
  const all = after.all - before.all;
  const hot = after.hot - before.hot;
  const percent = (100 * hot) / all;
  return {
    case: `updates of phased rows that are HOT, at ${counted} keys`,
    against: 'all updates',
    ours: `${percent.toFixed(1)} %`,
    theirs: `${hot.toLocaleString('en')} of ${all.toLocaleString('en')}`,
    goal: '≥ 95 %',
    reached: percent >= 95,
  };
}

async function updatesOf(sql: Client): Promise<{ all: number; hot: number }> {
  const { rows } = await sql.query<{ all: number; hot: number }>(
    `SELECT n_tup_upd::float8 AS all, n_tup_hot_upd::float8 AS hot
      FROM pg_stat_user_tables WHERE relname = 'idempotency_keys'`,
  );
  return rows[0] ?? { all: Number.NaN, hot: Number.NaN };
}

async function purge({ sql, store, counted }: Side, amounts: Amounts): Promise<Row> {
  const half = amounts.expired / 2;
  const { rows } = await sql.query<{ middle: Date }>(
    `SELECT expires_at AS middle FROM idempotency_keys
      WHERE expires_at <= now() AND status IS NOT NULL ORDER BY expires_at OFFSET $1 LIMIT 1`,
    [half],
  );
  await sql.query('CHECKPOINT');
  const theirs = await rateOf(async () => {
    const { rowCount } = await sql.query(
      `DELETE FROM idempotency_keys
        WHERE expires_at >= $1 AND expires_at <= now() AND status IS NOT NULL`,
      [rows[0]?.middle],
    );
    return rowCount ?? 0;
  });
  await sql.query('CHECKPOINT');
  const ours = await rateOf(async () => (await new PurgeJob(store).runOnce()).removed);
  const ratio = ratioOf([ours], [theirs]);
  return {
    case: `purge of ${half.toLocaleString('en')} of ${counted} keys`,
    against: 'one DELETE of as many others',
    ours: perSecond(ours),
    theirs: perSecond(theirs),
    ratio,
    goal: '≥ 0.5',
    reached: ratio.median >= 0.5,
  };
}

/** @param work returns how many it did */
async function rateOf(work: () => Promise<number>): Promise<number> {
  const started = performance.now();
  const done = await work();
  return (done / (performance.now() - started)) * 1_000;
}
