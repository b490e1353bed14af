/** The second step of the schema, on a database with rows that the first one, of 0.1.0, has made. */
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { findMigrations } from '../../src/database/migrations';
import { OneCollation1764000006000 } from '../../src/database/one-collation.migration';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { schemaOf } from '../support/schema';

const migrations = findMigrations();
const FIRST = migrations.slice(0, migrations.indexOf(OneCollation1764000006000));

/** One row of each table, as 0.1.0 writes them. */
const ROWS = `
  INSERT INTO accounts (account) VALUES ('shop');
  INSERT INTO api_keys (account, id, livemode, hash, hint) VALUES ('shop', 'key_1', false, 'x', 'abcd');
  INSERT INTO customers (account, id, livemode, email, invoice_prefix)
    VALUES ('shop', 'cus_1', false, 'Ada@example.com', 'ABCD');
  INSERT INTO payment_methods (account, id, livemode, token, card, customer, metadata)
    VALUES ('shop', 'pm_1', false, 'pm_card_visa', '{}', 'cus_1', '{}');
  INSERT INTO payment_intents (account, id, livemode, amount, amount_capturable, amount_received,
      currency, status, capture_method, confirmation_method, customer, payment_method, latest_charge,
      secret, payment_method_types, metadata)
    VALUES ('shop', 'pi_1', false, 2000, 0, 2000, 'usd', 'succeeded', 'automatic', 'automatic',
      'cus_1', 'pm_1', 'ch_1', 'secret', '["card"]', '{}');
  INSERT INTO charges (account, id, livemode, amount, amount_captured, amount_refunded, currency,
      status, captured, released, customer, payment_intent, payment_method, card, metadata)
    VALUES ('shop', 'ch_1', false, 2000, 2000, 500, 'usd', 'succeeded', true, false, 'cus_1', 'pi_1',
      'pm_1', '{}', '{}');
  INSERT INTO refunds (account, id, livemode, amount, currency, status, charge, payment_intent,
      payment_method, customer, metadata)
    VALUES ('shop', 're_1', false, 500, 'usd', 'succeeded', 'ch_1', 'pi_1', 'pm_1', 'cus_1', '{}');
  INSERT INTO jobs.reports (job, reported_at, figures) VALUES ('purge', now(), '{}');
  ANALYZE;`;
const TABLES = [
  'accounts',
  'api_keys',
  'customers',
  'payment_methods',
  'payment_intents',
  'charges',
  'refunds',
  'jobs.reports',
];

const databases: FreshDatabase[] = [];
const sources: DataSource[] = [];
const clients: Client[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()));
  await Promise.all(sources.splice(0).map((source) => source.destroy()));
  await Promise.all(databases.splice(0).map((database) => database.drop()));
});

/** A database that these migrations have made. */
async function madeBy(list: typeof migrations): Promise<FreshDatabase> {
  const database = await freshDatabase();
  databases.push(database);
  await (await sourceOf(database, list)).runMigrations({ transaction: 'each' });
  return database;
}

async function sourceOf({ url }: FreshDatabase, list = migrations): Promise<DataSource> {
  const source = new DataSource({ type: 'postgres', url, migrations: list });
  sources.push(source);
  return source.initialize();
}

async function clientOf({ url }: FreshDatabase, application?: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: application });
  client.on('error', () => undefined);
  clients.push(client);
  await client.connect();
  return client;
}

const schema = (client: Client): Promise<string[]> =>
  schemaOf(async (sql) => (await client.query<{ line: string }>(sql)).rows);

async function rows(client: Client): Promise<unknown[][]> {
  const found: unknown[][] = [];
  for (const table of TABLES) found.push((await client.query(`SELECT * FROM ${table}`)).rows);
  return found;
}

it('brings a database of 0.1.0 to the schema of a fresh one, with every row as it was, and back', async () => {
  const database = await madeBy(FIRST);
  const old = await clientOf(database);
  const fresh = await clientOf(await madeBy(migrations.slice(0, FIRST.length + 1)));
  await old.query(ROWS);
  const [schemaBefore, rowsBefore] = [await schema(old), await rows(old)];
  expect(rowsBefore.map((found) => found.length)).toEqual(TABLES.map(() => 1));
  expect(schemaBefore).not.toEqual(await schema(fresh));

  const source = await sourceOf(database, migrations.slice(0, FIRST.length + 1));
  await source.runMigrations({ transaction: 'each' });
  expect(await schema(old)).toEqual(await schema(fresh));
  expect(await rows(old)).toEqual(rowsBefore);

  await source.undoLastMigration({ transaction: 'each' });
  expect(await schema(old)).toEqual(schemaBefore);
  expect(await rows(old)).toEqual(rowsBefore);
});

it('leaves the planner the statistics of the columns it has changed', async () => {
  const database = await madeBy(FIRST);
  const old = await clientOf(database);
  await old.query(ROWS);
  const readStatistics = async () => {
    const { rows: found } = await old.query<{ column: string }>(`
      SELECT tablename || '.' || attname AS column FROM pg_stats
      WHERE schemaname IN ('public', 'jobs') ORDER BY 1`);
    return found.map(({ column }) => column);
  };
  const before = await readStatistics();
  expect(before).toContain('customers.account');
  await (await sourceOf(database)).runMigrations({ transaction: 'each' });
  expect(await readStatistics()).toEqual(before);
});

it('waits for a transaction that is open, and stands in its way with none of the other tables', async () => {
  const database = await madeBy(FIRST);
  const watcher = await clientOf(database);
  const other = await clientOf(database);
  await other.query('BEGIN');
  await other.query('SELECT FROM refunds'); // the last of the tables that the migration locks
  const migrating = (await sourceOf(database)).runMigrations({ transaction: 'each' });
  await eventually('the migration waits for the lock', async () => {
    const { rowCount } = await watcher.query(`SELECT FROM pg_locks WHERE NOT granted`);
    return rowCount === 1;
  });
  // As a request that goes on to its next table: without the limit this is a deadlock.
  await other.query('SELECT FROM customers');
  await other.query('SELECT FROM charges');
  await other.query('COMMIT');
  expect((await migrating).map(({ name }) => name)).toContain('OneCollation1764000006000');
});

it('ends the connections of running processes, on which every prepared statement would fail', async () => {
  const database = await madeBy(FIRST);
  const process = await clientOf(database, 'paidonce');
  const stranger = await clientOf(database, 'psql');
  const prepared = { name: 'prepared_0', text: 'SELECT account FROM customers WHERE account = $1' };
  for (const client of [process, stranger]) await client.query({ ...prepared, values: ['shop'] });
  const ended = new Promise<void>((resolve) => process.once('end', resolve));
  await (await sourceOf(database)).runMigrations({ transaction: 'each' });
  await ended;
  await expect(stranger.query({ ...prepared, values: ['shop'] })).rejects.toThrow(
    'cached plan must not change result type',
  );
});
