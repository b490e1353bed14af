/** The tables of payments and refunds can be made, taken away and made again. */
import { DataSource } from 'typeorm';
import { findMigrations } from '../../src/database/migrations';
import { freshDatabase, type FreshDatabase } from '../support/database';

const migrations = findMigrations();
let database: FreshDatabase;
let source: DataSource;

beforeAll(async () => {
  database = await freshDatabase();
  source = new DataSource({ type: 'postgres', url: database.url, migrations });
  await source.initialize();
});

afterAll(async () => {
  await source.destroy();
  await database.drop();
});

/** Every column, key and index that the migrations have made. */
async function schema(): Promise<unknown[]> {
  return source.query(`
    SELECT table_name, column_name AS name, data_type || is_nullable AS definition
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'migrations'
    UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes
      WHERE schemaname = 'public' AND tablename <> 'migrations'
    ORDER BY 1, 2`);
}

test('every migration is undone by its down and can be run again', async () => {
  await source.runMigrations();
  const made = await schema();
  expect(made.length).toBeGreaterThan(50);
  for (const _ of migrations) await source.undoLastMigration();
  expect(await schema()).toEqual([]);
  await source.runMigrations();
  expect(await schema()).toEqual(made);
});

test('the account comes first in every primary, unique and foreign key', async () => {
  const keys: { table: string; name: string; first: string }[] = await source.query(`
    SELECT c.conrelid::regclass::text AS table, c.conname AS name, a.attname AS first
      FROM pg_constraint c
      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
     WHERE c.contype IN ('p', 'u', 'f') AND c.connamespace = 'public'::regnamespace
       AND c.conrelid::regclass::text IN ('payment_methods', 'payment_intents', 'charges', 'refunds')`);
  expect(keys.length).toBeGreaterThan(12);
  expect(keys.filter(({ first }) => first !== 'account')).toEqual([]);
});
