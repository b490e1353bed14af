/** Connections are lost at every moment, the worst ones included: PostgreSQL's, and those of clients. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { Client } from 'pg';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { Program, startServer, stopAll } from '../support/server';

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
  await eventually('it serves again', async () => (await get()) === 200);
  expect(server.process.exitCode).toBeNull();
});

it('a client that goes away in the middle of its body is nobody’s lost database', async () => {
  const server = await startServer({ databaseUrl: database.url, env: { LOG_LEVEL: 'debug' } });
  const authorization = `Bearer ${server.apiKey || (await newKey())}`;
  const head =
    `POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n` +
    'Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n';
  for (let client = 0; client < 50; client += 1) {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(head);
    // Asked for its body, so the body is being read.
    await once(socket, 'data');
    const closed = once(socket, 'close');
    if (client % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
    await closed;
  }
  const response = await fetch(`${server.url}/v1/customers`, { headers: { authorization } });
  expect(response.status).toBe(200);
  expect(await server.stop()).toMatchObject({ code: 0 });
  expect(server.program.stderr).toContain('Nest'); // it does log
  expect(server.program.stderr).not.toMatch(/lost|ERROR|WARN/i);
});

async function newKey(): Promise<string> {
  const keys = Program.start('commands/keys', {
    args: ['create', '--account', 'sandbox'],
    env: { DATABASE_URL: database.url },
  });
  const [key] = await keys.says(/sk_test_\w+/);
  return key;
}
