/** TypeORM's statements are prepared once for each connection, and survive what happens to a table. */
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { PreparedStatementClient } from '../../src/database/prepared-statement-client';
import { type FreshDatabase, freshDatabase } from '../support/database';

describe('a connection that prepares', () => {
  let database: FreshDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await freshDatabase();
    const extra = { max: 1, pipeline: true, Client: PreparedStatementClient };
    dataSource = await new DataSource({ type: 'postgres', url: database.url, extra }).initialize();
    await dataSource.query('CREATE TABLE numbers (n int)');
  });
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const prepared = async () => {
    const rows = await dataSource.query<{ statement: string }[]>(
      'SELECT statement FROM pg_prepared_statements',
    );
    return rows.map(({ statement }) => statement);
  };

  it('prepares what has parameters, once, and nothing else', async () => {
    const sql = 'INSERT INTO numbers (n) VALUES ($1) RETURNING n';
    for (const n of [1, 2, 3]) {
      expect(await dataSource.query(sql, [n])).toEqual([{ n }]);
    }
    await dataSource.query('SELECT 1');
    expect(await prepared()).toEqual([sql]);
  });

  it('says what is wrong with a statement, each time', async () => {
    for (const _ of [1, 2]) {
      await expect(dataSource.query('SELECT $1::int / 0', [1])).rejects.toThrow('division by zero');
      await expect(dataSource.query('SELECT * FROM nothing WHERE n = $1', [1])).rejects.toThrow(
        'does not exist',
      );
    }
    expect(await dataSource.query('SELECT $1::int AS n', [1])).toEqual([{ n: 1 }]);
  });

  it('goes on when a column is added behind it', async () => {
    const sql = 'INSERT INTO numbers (n) VALUES ($1) RETURNING n';
    await dataSource.query(sql, [4]);
    const migration = new Client({ connectionString: database.url });
    await migration.connect();
    await migration.query('ALTER TABLE numbers ADD COLUMN more text');
    await migration.end();
    expect(await dataSource.query(sql, [5])).toEqual([{ n: 5 }]);
  });

  it('prepares a bounded number of statements, and runs the others too', async () => {
    for (let n = 0; n < 300; n += 1) {
      expect(await dataSource.query(`SELECT $1::int + ${n} AS n`, [1])).toEqual([{ n: n + 1 }]);
    }
    expect((await prepared()).length).toBeLessThanOrEqual(200);
  });
});
