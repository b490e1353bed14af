import { DataSource } from 'typeorm';
import { migrations } from '../../src/migrations';
import { freshDatabase, type FreshDatabase } from '../support/database';

let database: FreshDatabase;
let dataSource: DataSource;

beforeAll(async () => {
  database = await freshDatabase();
  dataSource = new DataSource({ type: 'postgres', url: database.url, migrations });
  await dataSource.initialize();
});
afterAll(async () => {
  await dataSource.destroy();
  await database.drop();
});

/** All that the migrations have made: tables with their columns, constraints and indexes. */
async function schema(): Promise<string[]> {
  const rows: { line: string }[] = await dataSource.query(`
    SELECT format('%s.%s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                  a.attnotnull) AS line
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
      AND NOT a.attisdropped AND c.relname <> 'migrations'
    UNION ALL
    SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid <> 'migrations'::regclass
    UNION ALL
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'migrations'
    ORDER BY 1`);
  return rows.map(({ line }) => line);
}

async function undoAll(): Promise<void> {
  for (const _ of migrations) await dataSource.undoLastMigration({ transaction: 'each' });
}

describe('the schema', () => {
  it('is the same after up, down and up again, and down leaves nothing', async () => {
    await dataSource.runMigrations({ transaction: 'each' });
    const before = await schema();
    expect(before.length).toBeGreaterThan(20);
    await undoAll();
    expect(await schema()).toEqual([]);
    await dataSource.runMigrations({ transaction: 'each' });
    expect(await schema()).toEqual(before);
  });

  it('has the account first in every primary, unique and foreign key', async () => {
    const keys: { name: string; first: string }[] = await dataSource.query(`
      SELECT k.conname AS name, a.attname AS first
      FROM pg_constraint k
      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
      WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('p', 'u', 'f')
        AND k.conrelid <> 'migrations'::regclass
      UNION ALL
      SELECT i.indexrelid::regclass::text, a.attname
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
      WHERE i.indisunique AND c.relname <> 'migrations'`);
    expect(keys.length).toBeGreaterThan(10);
    expect(keys.filter(({ first }) => first !== 'account')).toEqual([]);
  });

  it('orders ids byte by byte, whatever the locale of the database', async () => {
    const ids: { table: string; collation: string }[] = await dataSource.query(`
      SELECT table_name AS table, collation_name AS collation FROM information_schema.columns
      WHERE table_schema = 'public' AND column_name = 'id' AND data_type = 'text'`);
    expect(ids.length).toBeGreaterThan(4);
    expect(ids.filter(({ collation }) => collation !== 'C')).toEqual([]);
  });
});
