/** Prepared statements in one packet: what is sent, what comes back, and the state after a failure. */
import type { Duplex } from 'node:stream';
import { DatabaseError, Pool, type PoolClient, type QueryConfig } from 'pg';
import { DataSource } from 'typeorm';
import { rememberPrepared, sendBatch } from '../../../src/idempotency/store/postgres/batch';
import { surviveLostConnections } from '../../../src/idempotency/store/postgres/connection';
import { PostgresTransaction } from '../../../src/idempotency/store/postgres/postgres-transaction';
import { CommitFailedError } from '../../../src/idempotency/store/store.errors';
import { type FreshDatabase, freshDatabase } from '../../support/database';
import { eventually } from '../../support/eventually';
import { TcpProxy } from '../../support/tcp-proxy';

/** A named statement; those of one text are the same. */
function statement(text: string, values: unknown[] = []): QueryConfig {
  return { name: text.slice(0, 63), text, values };
}
const BEGIN = statement('BEGIN');
const COMMIT = statement('COMMIT');
const echo = (n: number) => statement('SELECT $1::int AS n', [n]);
const sleep = (seconds: number) => statement('SELECT pg_sleep($1)', [seconds]);
const insert = (n: number) => statement('INSERT INTO numbers VALUES ($1)', [n]);
const insertDeferred = (n: number) => statement('INSERT INTO deferreds VALUES ($1)', [n]);
const VALUES = [-1.5, 'ünï ✓', Buffer.from([0, 255, 92]), null];
/** Every kind of result: a statement, its command and count of rows, and its rows. */
const RESULTS: readonly [QueryConfig, string, ...object[]][] = [
  [BEGIN, 'BEGIN null'],
  [statement('SELECT generate_series(1, 3) AS n'), 'SELECT 3', { n: 1 }, { n: 2 }, { n: 3 }],
  [statement('SELECT 1 AS n WHERE false'), 'SELECT 0'],
  [statement('SET LOCAL lock_timeout = 1000'), 'SET null'],
  [statement('DELETE FROM numbers'), 'DELETE 2'], // of the run that prepared them
  [insert(7), 'INSERT 1'],
  [statement('INSERT INTO numbers VALUES (8) RETURNING number'), 'INSERT 1', { number: 8 }],
  [statement('UPDATE numbers SET number = number + 10'), 'UPDATE 2'],
  [
    statement(`SELECT NULL::int AS none, false AS no, 9007199254740993::int8 AS big,
      '[{"a":2}]'::json AS json, to_timestamp(1.5) AS at`),
    'SELECT 1',
    { none: null, no: false, big: '9007199254740993', json: [{ a: 2 }], at: new Date(1_500) },
  ],
  [
    statement('SELECT $1::float8 AS f, $2::text AS t, $3::bytea AS b, $4::int >= 0 AS n', VALUES),
    'SELECT 1',
    { f: VALUES[0], t: VALUES[1], b: VALUES[2], n: null },
  ],
  [COMMIT, 'COMMIT null'],
];

describe.each([true, false])('a batch on connections with pipeline: %s', (pipeline) => {
  let database: FreshDatabase;
  let witness: Pool;
  let proxy: TcpProxy;
  let dataSource: DataSource;
  let pool: Pool; // of one connection: what does not come back is missed at once
  const unhandled = jest.fn();
  beforeAll(async () => {
    process.on('unhandledRejection', unhandled);
    database = await freshDatabase();
    witness = new Pool({ connectionString: database.url });
    await witness.query(`CREATE TABLE numbers (number int PRIMARY KEY);
      CREATE TABLE deferreds (number int UNIQUE DEFERRABLE INITIALLY DEFERRED)`);
    proxy = await TcpProxy.to(database.url);
    const extra = { pipeline, max: 1, connectionTimeoutMillis: 60_000 };
    dataSource = new DataSource({ type: 'postgres', url: proxy.url, extra });
    await dataSource.initialize();
    surviveLostConnections(dataSource);
    pool = (dataSource.driver as unknown as { master: Pool }).master;
  });
  afterAll(async () => {
    await dataSource.destroy();
    await proxy.close();
    await witness.end();
    await database.drop();
    process.off('unhandledRejection', unhandled);
  });
  beforeEach(() => witness.query('TRUNCATE numbers, deferreds'));
  afterEach(() => {
    expect(unhandled).not.toHaveBeenCalled();
    expect([pool.idleCount, pool.waitingCount]).toEqual([pool.totalCount, 0]);
  });

  /** What was committed. */
  const stored = async (table = 'numbers') => {
    const { rows } = await witness.query<{ number: number }>(`TABLE ${table} ORDER BY 1`);
    return rows.map(({ number }) => number);
  };
  async function prepare(client: PoolClient, statements: readonly QueryConfig[]): Promise<void> {
    for (const each of statements) rememberPrepared(client, each, await client.query(each));
  }

  /** Sends a batch of which everything is prepared. */
  const batch = (client: PoolClient, statements: QueryConfig[]) =>
    sendBatch(client, statements, 60_000)!;

  /** The pool's one connection. */
  const connection = async () => {
    const client = await pool.connect();
    client.release();
    return client;
  };
  const begin = async () => (await PostgresTransaction.begin(dataSource, [])).transaction;

  /** Commits `statements`, after which they, BEGIN, COMMIT and ROLLBACK are prepared. */
  async function warmUp(statements: QueryConfig[]): Promise<void> {
    await (await begin()).commit(statements);
    await (await begin()).rollback();
  }

  /** How often `work` writes to the socket, and how often the server says that it is ready. */
  async function traffic(client: PoolClient, work: () => Promise<unknown>) {
    const stream = client.connection.stream as Required<Duplex>;
    const [one, several] = [jest.spyOn(stream, '_write'), jest.spyOn(stream, '_writev')];
    const heard = jest.spyOn(client.connection, 'emit');
    await work();
    const packets = one.mock.calls.length + several.mock.calls.length;
    const ready = heard.mock.calls.filter(([event]) => event === 'readyForQuery').length;
    jest.restoreAllMocks();
    return { packets, ready };
  }

  it('is sent only when this connection has prepared all of its statements', async () => {
    const client = await connection();
    const [known, unknown] = [statement('SELECT 1 AS one'), statement('SELECT 2 AS two')];
    await prepare(client, [known]);
    const send = async () => sendBatch(client, [known, unknown], 60_000);
    const sent = await traffic(client, () => expect(send()).resolves.toBeUndefined());
    expect(sent.packets).toBe(0);
    await prepare(client, [unknown]);
    expect(await send()).toMatchObject([{ rows: [{ one: 1 }] }, { rows: [{ two: 2 }] }]);
  });

  it('brings the results in order, each as pg reads it', async () => {
    const client = await connection();
    const statements = RESULTS.map(([each]) => each);
    await prepare(client, statements);
    const results = await batch(client, statements);
    const read = results.map(({ command, rowCount, rows }) => [`${command} ${rowCount}`, ...rows]);
    expect(read).toStrictEqual(RESULTS.map(([, ...expected]) => expected));
  });

  it('is one packet, and the server is ready once', async () => {
    const client = await connection();
    const statements = [echo(1), statement('SELECT 2 AS two'), echo(3)];
    const alone = await traffic(client, () => prepare(client, statements));
    expect(alone).toEqual({ packets: 3, ready: 3 }); // so the count is not always one
    const together = await traffic(client, () => batch(client, statements));
    expect(together).toEqual({ packets: 1, ready: 1 });
  });

  it('ends with its first error, and what is behind it is not executed', async () => {
    const client = await connection();
    await prepare(client, [BEGIN, insert(1), COMMIT]);
    const failing = batch(client, [BEGIN, insert(2), insert(1), insert(3), COMMIT]);
    const refusal = { constructor: DatabaseError, code: '23505' };
    await expect(failing).rejects.toMatchObject(refusal);
    // COMMIT would have ended the transaction; it is still there, aborted.
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
    await client.query('ROLLBACK');
    // Outside of a transaction, what is behind would be committed if it were executed.
    await expect(batch(client, [insert(1), insert(4)])).rejects.toMatchObject(refusal);
    expect(await stored()).toEqual([1]);
  });

  it.each([
    ['a statement', 'numbers', insert(1), [insert(2), insert(1), insert(3)]],
    ['a constraint deferred to COMMIT', 'deferreds', insertDeferred(1), [insertDeferred(1)]],
  ])('commits nothing when %s fails, and the connection is back', async (_, table, first, all) => {
    await warmUp([first]);
    const client = await connection();
    const transaction = await begin();
    const sent = await traffic(client, async () => {
      const failure = { constructor: CommitFailedError, cause: { code: '23505' } };
      await expect(transaction.commit(all)).rejects.toMatchObject(failure);
    });
    expect(sent.packets).toBe(2); // it was a batch, and ROLLBACK behind it
    expect(await stored(table)).toEqual([1]);
    expect(await connection()).toBe(client);
    await (await begin()).commit([insert(4)]);
    expect(await stored()).toContain(4);
  });

  it('has its own results among batches and queries that were sent without waiting', async () => {
    const client = await connection();
    await prepare(client, [echo(0), insert(1)]);
    const results = await Promise.allSettled([
      batch(client, [echo(1), echo(2)]),
      client.query<{ n: number }>('SELECT 3 AS n'),
      batch(client, [echo(4), insert(1), echo(5)]),
      client.query<{ n: number }>(echo(6)),
      batch(client, [echo(7)]),
    ]);
    const numbers = results.map((result) => {
      if (result.status === 'rejected') return (result.reason as DatabaseError).code;
      return [result.value].flat().map(({ rows }) => (rows as { n: number }[])[0]?.n);
    });
    expect(numbers).toEqual([[1, 2], [3], '23505', [6], [7]]);
  });

  it('ends after its timeout when the server never replies, and so does the connection', async () => {
    await warmUp([insert(1)]);
    const client = await connection();
    proxy.blackHole();
    const timers = jest.spyOn(globalThis, 'setTimeout');
    await expect(begin()).rejects.toThrow('Query read timeout');
    expect(timers.mock.calls.map(([, ms]) => ms)).toContain(2_000); // that of BEGIN
    timers.mockRestore();
    proxy.heal();
    await (await begin()).commit([insert(2)]);
    expect(await connection()).not.toBe(client);
  });

  it('fails with the connection that the server ends, and so does what waits behind it', async () => {
    const client = await pool.connect();
    await prepare(client, [sleep(0), echo(1)]);
    const both = [batch(client, [sleep(60)]), batch(client, [echo(1)])];
    const ended = Promise.allSettled(both).finally(() => client.release());
    await eventually('it sleeps, and is ended', async () => {
      const { rowCount } = await witness.query(`SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`);
      return rowCount === 1;
    });
    const lost = { status: 'rejected', reason: { message: expect.stringContaining('terminat') } };
    expect(await ended).toMatchObject([lost, lost]);
    expect(await connection()).not.toBe(client);
  });

  it('fails when a type parser throws, and the connection stays usable', async () => {
    const client = await connection();
    client.setTypeParser(1043, (text) => JSON.parse(text) as unknown);
    const json = (text: string) => statement('SELECT $1::varchar AS json', [text]);
    await prepare(client, [json('1')]);
    await expect(batch(client, [json('1'), json('{'), json('2')])).rejects.toThrow('JSON');
    expect(await batch(client, [json('[3]')])).toMatchObject([{ rows: [{ json: [3] }] }]);
  });

  it('sends nothing when a value cannot be written', async () => {
    const client = await connection();
    const nothing = statement('TRUNCATE deferreds');
    await prepare(client, [echo(1), nothing]);
    const unwritable = { ...echo(2), values: [new Date()] };
    await expect(batch(client, [echo(1), unwritable])).rejects.toThrow('cannot write object');
    const [, truncated] = await batch(client, [echo(3), nothing]);
    expect(truncated).toMatchObject({ command: 'TRUNCATE', rowCount: null });
  });

  it('commits nothing when its statements were deallocated behind its back', async () => {
    await warmUp([insert(1)]);
    const first = await connection();
    await first.query('DISCARD ALL');
    await expect(begin()).rejects.toMatchObject({ code: '26000' });
    await warmUp([insert(2)]);
    const second = await connection();
    const transaction = await begin();
    await second.query('DEALLOCATE ALL');
    const failure = { constructor: CommitFailedError, cause: { code: '26000' } };
    await expect(transaction.commit([insert(3)])).rejects.toMatchObject(failure);
    expect(await stored()).toEqual([1, 2]);
    expect(new Set([first, second, await connection()]).size).toBe(3); // none is lent again
  });
});
