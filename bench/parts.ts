/**
 * `npm run bench:parts [-- NAME[,NAME]]`: the CPU of one call with and without each part that is made for speed
 * (docs/INTERNALS.md), in short turns inside one process. A part that gains some percent of a request shows here on a
 * busy machine too, where `npm run bench:compare` shows nothing.
 */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { Redis as RedisClient } from 'ioredis';
import type { PoolClient } from 'pg';
import { DataSource, type QueryRunner } from 'typeorm';
import { CustomersRepository } from '../src/customers/customers.repository';
import { CustomerEntity } from '../src/customers/customer.entity';
import { PreparedStatementClient } from '../src/database/prepared-statement-client';
import type { ResolvedOptions } from '../src/idempotency/contract/idempotency.options';
import { RedisReplays } from '../src/idempotency/replays/redis-replays';
import { sendStatements } from '../src/idempotency/store/postgres/connection';
import { newId } from '../src/wire';
import { type RunningApp, startApp } from '../test/support/app';
import { eventually } from '../test/support/eventually';
import { ratioOf, spreadOf } from './figures';
import { cpuBetween, postgresCpu } from './postgres-cpu';
import { Stage } from './stage';

const ROUNDS = 5;
/** Of each half, in a round. */
const TURNS = 8;
const CALLS = 320;
/** Calls at once. */
const CONCURRENCY = 8;

/** The same work in two ways. */
interface Pair {
  readonly with: () => Promise<unknown>;
  readonly without: () => Promise<unknown>;
  readonly close?: () => Promise<unknown>;
}

const PARTS: Readonly<Record<string, (stage: Stage, app: RunningApp) => Promise<Pair>>> = {
  'batch-of-pg': batches,
  'prepared-client': preparedStatements,
  'columns-of-typeorm': inserts,
  'stream-of-ioredis': redisReads,
};

const TENANT = { account: 'shop', livemode: false };
const newRow = () => ({ id: newId('cus'), invoicePrefix: 'PART', email: 'ada@example.com' });

/** BEGIN, two reads and COMMIT: in one packet, or each in its own, without waiting for the one before it. */
async function batches({ databaseUrl }: Stage): Promise<Pair> {
  const dataSource = await dataSourceOf(databaseUrl, { pipeline: true });
  const statements = () => [
    { name: 'part_begin', text: 'BEGIN' },
    ...['first', 'second'].map((name) => ({
      name: `part_${name}`,
      text: `SELECT status FROM idempotency_keys WHERE account = $1 AND mode = 'test' AND key = $2`,
      values: ['shop', randomUUID()],
    })),
    { name: 'part_commit', text: 'COMMIT' },
  ];
  return {
    with: () => onConnection(dataSource, (client) => sendStatements(client, statements())),
    without: () =>
      onConnection(dataSource, (client) =>
        Promise.all(statements().map((statement) => client.query(statement))),
      ),
    close: () => dataSource.destroy(),
  };
}

/** A row found by TypeORM. */
async function preparedStatements({ databaseUrl }: Stage, app: RunningApp): Promise<Pair> {
  const { id } = await app.app.get(CustomersRepository, { strict: false }).insert(TENANT, newRow());
  const prepared = await dataSourceOf(databaseUrl, { Client: PreparedStatementClient });
  const unprepared = await dataSourceOf(databaseUrl, {});
  const find = (dataSource: DataSource) =>
    dataSource.getRepository(CustomerEntity).findOneBy({ ...TENANT, id });
  return {
    with: () => find(prepared),
    without: () => find(unprepared),
    close: () => Promise.all([prepared.destroy(), unprepared.destroy()]),
  };
}

/** A row inserted and read back: by the statement that is built once, or by TypeORM's builder. */
async function inserts(_stage: Stage, { app }: RunningApp): Promise<Pair> {
  const rows = app.get(DataSource).getRepository(CustomerEntity);
  const repository = app.get(CustomersRepository, { strict: false });
  const columns = rows.metadata.columns.map(({ propertyName }) => propertyName);
  return {
    with: () => repository.insert(TENANT, newRow()),
    without: () =>
      rows
        .createQueryBuilder()
        .insert()
        .values({ ...newRow(), ...TENANT })
        .returning(columns)
        .execute(),
  };
}

/** A read from Redis: the reads of one turn in one packet, or each in its own. */
async function redisReads({ redisUrl }: Stage): Promise<Pair> {
  if (redisUrl === undefined) throw new Error('There is no redis-server on the PATH.');
  const plain = new RedisClient(redisUrl, { commandTimeout: 100 });
  await plain.set('part', 'x'.repeat(1_000));
  const replays = new RedisReplays({ replayRedisUrl: redisUrl } as ResolvedOptions);
  await replays.onModuleInit();
  const read = () => replays.get('part').catch(() => null);
  await eventually('it is connected', async () => (await read()) !== null);
  return {
    with: () => replays.get('part'),
    without: () => plain.get('part'),
    close: async () => {
      replays.onApplicationShutdown();
      await plain.quit();
    },
  };
}

function dataSourceOf(url: string, extra: object): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url,
    entities: [CustomerEntity],
    extra: { max: CONCURRENCY, ...extra },
  }).initialize();
}

async function onConnection(
  dataSource: DataSource,
  work: (client: PoolClient) => Promise<unknown>,
): Promise<void> {
  const runner: QueryRunner = dataSource.createQueryRunner();
  await work((await runner.connect()) as PoolClient);
  await runner.release();
}

async function main(): Promise<void> {
  const names = process.argv[2]?.split(',') ?? Object.keys(PARTS);
  await Stage.prepare();
  const stage = await Stage.open(true);
  const app = await startApp({ databaseUrl: stage.databaseUrl });
  try {
    for (const name of names) {
      const open = PARTS[name];
      if (!open) throw new Error(`There is no ${name}, but ${Object.keys(PARTS).join(', ')}.`);
      const pair = await open(stage, app);
      await compare(stage, name, pair);
      await pair.close?.();
    }
  } finally {
    await app.close();
    await stage.close();
    await Stage.clear();
  }
}

/** One line for each part: this process and PostgreSQL, and the ratio of both together. */
async function compare(stage: Stage, name: string, pair: Pair): Promise<void> {
  const halves = ['with', 'without'] as const;
  for (const half of halves) await cpuOfCalls(stage, pair[half], CALLS * TURNS); // to compile
  const spent = { with: [] as number[][], without: [] as number[][] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const sums = { with: [0, 0], without: [0, 0] };
    for (let turn = 0; turn < 2 * TURNS; turn += 1) {
      const half = halves[(turn + round) % 2]!;
      const [own, postgres] = await cpuOfCalls(stage, pair[half], CALLS);
      sums[half] = [sums[half][0]! + own / TURNS, sums[half][1]! + postgres / TURNS];
    }
    for (const half of halves) spent[half].push(sums[half]);
  }
  const median = (half: 'with' | 'without', part: number) =>
    spreadOf(spent[half].map((sums) => sums[part]!)).median.toFixed(0);
  const [ours, theirs] = halves.map((half) => spent[half].map(([own, pg]) => own! + pg!));
  const ratio = ratioOf(ours!, theirs!);
  process.stdout.write(
    `${name}: with ${median('with', 0)} + ${median('with', 1)} µs, without ${median('without', 0)} + ` +
      `${median('without', 1)} µs, ratio ${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)} to ` +
      `${ratio.high.toFixed(2)})\n`,
  );
}

/** @returns CPU of this process and of PostgreSQL for one call, µs */
async function cpuOfCalls(
  { sql, databaseUrl }: Stage,
  call: () => Promise<unknown>,
  calls: number,
): Promise<readonly [number, number]> {
  const database = new URL(databaseUrl).pathname.slice(1);
  const before = await postgresCpu(sql, database);
  const started = process.cpuUsage();
  const work = async () => {
    for (let at = 0; at < calls / CONCURRENCY; at += 1) await call();
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  const { user, system } = process.cpuUsage(started);
  const after = await postgresCpu(sql, database);
  return [(user + system) / calls, cpuBetween(before, after) / calls];
}

main().then(
  () => process.exit(0),
  (error: Error) => {
    process.stderr.write(`${error.stack ?? error.message}\n`);
    process.exit(1);
  },
);
