/** The migrations make the schema, and can be undone. */
import { DataSource } from 'typeorm';
import { findMigrations } from '../../src/database/migrations';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { schemaOf } from '../support/schema';

const migrations = findMigrations();
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

const schema = (): Promise<string[]> => schemaOf((sql) => dataSource.query(sql));

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

  it('compares every text column of a key or an index byte by byte, whatever the locale of the database', async () => {
    const columns: { column: string; collation: string }[] = await dataSource.query(`
      SELECT DISTINCT format('%s.%s', a.attrelid::regclass, a.attname) AS column,
        c.collname AS collation
      FROM (
        SELECT indrelid, unnest(indkey) FROM pg_index
        UNION SELECT conrelid, unnest(conkey) FROM pg_constraint WHERE contype IN ('p', 'u', 'f')
        UNION SELECT confrelid, unnest(confkey) FROM pg_constraint WHERE contype = 'f'
      ) AS used (relation, attnum)
      JOIN pg_class r ON r.oid = used.relation AND r.relname <> 'migrations'
        AND r.relnamespace::regnamespace::text IN ('public', 'jobs')
      JOIN pg_attribute a ON a.attrelid = used.relation AND a.attnum = used.attnum
      JOIN pg_collation c ON c.oid = a.attcollation`);
    const accounts = columns.filter(({ column }) => column.endsWith('.account'));
    expect(accounts.length).toBeGreaterThanOrEqual(8);
    expect(columns.length).toBeGreaterThan(25);
    expect(columns.filter(({ collation }) => collation !== 'C')).toEqual([]);
    // An index may have a collation of its own, and over an expression it has no column at all.
    const indexes: { index: string }[] = await dataSource.query(`
      SELECT i.indexrelid::regclass::text AS index
      FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid AND r.relname <> 'migrations'
        AND r.relnamespace::regnamespace::text IN ('public', 'jobs')
      WHERE EXISTS (SELECT FROM unnest(i.indcollation) AS collation_of (used)
        WHERE used NOT IN (0, '"C"'::regcollation))`);
    expect(indexes).toEqual([]);
  });

  it('has one collation for columns of one name, and for those that name a row of another table', async () => {
    const columns: { table: string; name: string; collation: string | null }[] =
      await dataSource.query(`
        SELECT table_name AS table, column_name AS name, collation_name AS collation
        FROM information_schema.columns
        WHERE table_schema = 'public' AND data_type = 'text' AND table_name <> 'migrations'`);
    const mixed = columns.filter(({ name, collation }) =>
      columns.some((other) => other.name === name && other.collation !== collation),
    );
    expect(mixed).toEqual([]);
    // Foreign keys or not: `latest_charge` is the id of a row of `charges`.
    const rows = columns.filter(({ name }) => name === 'id').map(({ table }) => table.slice(0, -1));
    const references = columns.filter(({ name }) =>
      rows.some((row) => name === row || name.endsWith(`_${row}`)),
    );
    expect(references.map(({ name }) => name)).toContain('latest_charge');
    expect(references.filter(({ collation }) => collation !== 'C')).toEqual([]);
  });
});
