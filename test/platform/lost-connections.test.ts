/** PostgreSQL ends connections at every moment, the worst ones included. */
import { Client } from 'pg';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { startServer, stopAll } from '../support/server';

let database: FreshDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterEach(stopAll);
afterAll(() => database.drop());

/** The moment between two listeners was hit after 11 and 18 of them. */
const ENOUGH = 150;

it('the server outlives connections that are ended while they are lent, and answers 503 meanwhile', async () => {
  const server = await startServer({ databaseUrl: database.url });
  const killer = new Client({ connectionString: database.url });
  await killer.connect();
  const get = async () => {
    const response = await fetch(`${server.url}/v1/customers?limit=1`, {
      headers: { authorization: `Bearer ${server.apiKey}` },
    });
    await response.arrayBuffer();
    return response.status;
  };
  const over = new AbortController();
  const seen = new Set<number>();
  const load = Array.from({ length: 16 }, async () => {
    while (!over.signal.aborted) seen.add(await get());
  });
  let ended = 0;
  const kill = async () => {
    while (ended < ENOUGH) {
      const { rowCount } = await killer.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'paidonce'`,
      );
      ended += rowCount ?? 0;
    }
  };
  await Promise.race([kill(), Promise.all(load)]);
  over.abort();
  await Promise.all(load);
  await killer.end();
  expect(ended).toBeGreaterThanOrEqual(ENOUGH);
  expect([...seen].filter((status) => status !== 200 && status !== 503)).toEqual([]);
  expect(await get()).toBe(200);
  expect(server.process.exitCode).toBeNull();
});
