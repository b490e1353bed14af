/** The table of keys when an application starts: made where that is asked for, else checked. */
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import {
  CreateIdempotencyKeys1764000000000,
  IdempotencyKeyEntity,
  idempotencyMigrations,
} from '../../../src/idempotency';
import { freshDatabase, type FreshDatabase } from '../../support/database';
import { schemaOf } from '../../support/schema';
import { openShop, type Shop } from '../shop.fixture';

let database: FreshDatabase;
let admin: DataSource;

beforeEach(async () => {
  database = await freshDatabase();
  admin = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  await admin.query('CREATE TABLE orders (id serial PRIMARY KEY, account text, amount int)');
});
afterEach(async () => {
  await admin.destroy();
  await database.drop();
});

const schema = () => schemaOf((sql) => admin.query(sql), ['public']);
const start = (options = {}): Promise<Shop> =>
  openShop('fastify', { databaseUrl: database.url, poolSize: 2, options });
const migrate = async () => {
  const runner = admin.createQueryRunner();
  for (const Migration of idempotencyMigrations) await new Migration().up(runner);
  await runner.release();
};

const CURES = /add \.\.\.idempotencyMigrations to your DataSource.*or set createSchema: true/i;

it('has every migration of the folder among those for applications', () => {
  const folder = join(__dirname, '../../../src/idempotency');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const found = files
    .filter((file) => file.endsWith('.migration.ts'))
    .flatMap((file) => Object.values(jest.requireActual<object>(join(folder, file))) as unknown[]);
  expect(found.length).toBeGreaterThan(0);
  expect(new Set(idempotencyMigrations)).toEqual(new Set(found));
});

describe('the table', () => {
  it('is made by createSchema as by the migrations, by one of many processes that start at once', async () => {
    const shops = await Promise.all(Array.from({ length: 6 }, () => start({ createSchema: true })));
    const key = randomUUID();
    const replies = await Promise.all(
      shops.map((shop) => shop.post('/orders', { amount: 1 }, key)),
    );
    expect(replies.some(({ status }) => status === 201)).toBe(true);
    await Promise.all(shops.map((shop) => shop.close()));
    const made = await schema();
    // And once more, on a table that is there.
    await (await start({ createSchema: true })).close();
    expect(await schema()).toEqual(made);
    const runner = admin.createQueryRunner();
    await new CreateIdempotencyKeys1764000000000().down(runner);
    await runner.release();
    await migrate();
    expect(await schema()).toEqual(made);
  });

  it('that is missing is a sentence at the start, with both cures', async () => {
    const error = (await start().catch((reason: unknown) => reason)) as Error;
    expect(error.message).toContain('the table idempotency_keys does not exist in this database');
    expect(error.message).toMatch(CURES);
  });

  it('of an older version is a sentence at the start, which names what it lacks', async () => {
    await migrate();
    await admin.query('ALTER TABLE idempotency_keys DROP COLUMN retry_at, DROP COLUMN deflated');
    const error = (await start().catch((reason: unknown) => reason)) as Error;
    expect(error.message).toContain(
      'is of another version of this package: it has no deflated, retry_at.',
    );
    expect(error.message).toMatch(CURES);
  });

  it('that TypeORM has made by itself is refused: its keys would not be recognised', async () => {
    const synchronized = new DataSource({
      type: 'postgres',
      url: database.url,
      entities: [IdempotencyKeyEntity],
      synchronize: true,
    });
    await (await synchronized.initialize()).destroy();
    for (const options of [{}, { createSchema: true }]) {
      const error = (await start(options).catch((reason: unknown) => reason)) as Error;
      expect(error.message).toContain("such as TypeORM's synchronize");
    }
  });

  it('that may not be made is a sentence at the start, with the reason', async () => {
    const { pathname } = new URL(database.url);
    await admin.query(`ALTER DATABASE ${pathname.slice(1)} SET default_transaction_read_only = on`);
    await expect(start({ createSchema: true })).rejects.toThrow(
      'the table idempotency_keys could not be made: cannot execute CREATE TABLE in a read-only transaction.',
    );
  });
});
