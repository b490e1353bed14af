/** Processes start, stop, and say what is wrong where they cannot start. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { freshDatabase } from '../support/database';
import { type HeldCharges, holdCharges } from '../support/held-charges';
import { PATIENT } from '../support/patience';
import { Program, type RunningServer, startServer, stopAll } from '../support/server';

/** A space in it, as in many a home directory. */
const home = mkdtempSync(join(tmpdir(), 'paid once '));
chmodSync(home, 0o755);
const dataDir = join(home, 'data');

afterEach(stopAll);
afterAll(() => rmSync(home, { recursive: true, force: true }));

const start = (env: Record<string, string> = {}) =>
  startServer({ env: { DATA_DIR: dataDir, ...env } });

function postmasterPid(dir = dataDir): number {
  return Number(readFileSync(join(dir, 'postgres', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
}

function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}

function api(server: RunningServer, path: string, init: RequestInit & { key?: string } = {}) {
  const headers = new Headers(init.headers);
  headers.set('authorization', `Bearer ${init.key ?? server.apiKey}`);
  return fetch(`${server.url}${path}`, { ...init, headers });
}

/** Asks again and again until there is a result; the test's own time-out is the limit. */
async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const result = await ask();
    if (result !== undefined) return result;
    await sleep(20);
  }
}

/** Waits for a 200: a slow machine makes the server wait for its database, and respond with 503. */
const healthy = ({ url }: RunningServer) =>
  eventually(async () => ((await fetch(`${url}/health`)).ok ? true : undefined));

describe('npm start without any configuration', () => {
  let key: string;
  let customer: string;

  it('makes a sandbox account, and prints a line that takes a payment', async () => {
    const server = await start();
    key = server.apiKey;
    const line = /^ {2}(curl .*)$/m.exec(server.program.stdout)?.[1] ?? '';
    const payment = execFileSync('sh', ['-c', `${line} --silent`], { encoding: 'utf8' });
    expect(JSON.parse(payment)).toMatchObject({
      object: 'payment_intent',
      amount: 2000,
      currency: 'usd',
      status: 'succeeded',
    });
    const again = execFileSync('sh', ['-c', `${line} --silent`], { encoding: 'utf8' });
    expect(again).toBe(payment);
    const made = await api(server, '/v1/customers', {
      method: 'POST',
      body: new URLSearchParams({ email: 'a@example.com' }),
    });
    customer = ((await made.json()) as { id: string }).id;
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(server.program.stderr).toBe('');
  });

  it('keeps the key in clear text in one file only, readable by its owner alone', () => {
    const file = join(dataDir, 'sandbox.key');
    expect(readFileSync(file, 'utf8')).toBe(`${key}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const found = spawnSync('grep', ['-rlF', key, home], { encoding: 'utf8' }).stdout;
    expect(found.trim()).toBe(file);
  });

  it('has the same key and the same data on the second start', async () => {
    const server = await start();
    expect(server.apiKey).toBe(key);
    const found = await api(server, `/v1/customers/${customer}`);
    expect(await found.json()).toMatchObject({ id: customer, email: 'a@example.com' });
    await server.stop();
  });

  it('does not hand out a key that was revoked', async () => {
    const list = Program.start('commands/keys', {
      args: ['list', '--account', 'sandbox'],
      env: { DATA_DIR: dataDir },
    });
    expect(await list.ended).toMatchObject({ code: 0 });
    const [id = ''] = list.stdout.split(' ', 1);
    const revoke = Program.start('commands/keys', {
      args: ['revoke', '--account', 'sandbox', '--key', id],
      env: { DATA_DIR: dataDir },
    });
    expect(await revoke.ended).toMatchObject({ code: 0 });
    const server = await start();
    expect(server.apiKey).toBe('');
    expect(server.program.stdout).toContain('npm run keys -- create --account sandbox');
    await server.stop();
  });
});

describe('the embedded PostgreSQL', () => {
  it('stops with the server', async () => {
    const server = await start();
    const pid = postmasterPid();
    expect(isAlive(pid)).toBe(true);
    await server.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('outlives a killed server and is taken over by the next start', async () => {
    const first = await start();
    const pid = postmasterPid();
    await first.kill9();
    expect(isAlive(pid)).toBe(true);
    const second = await start();
    expect(postmasterPid()).toBe(pid);
    await healthy(second);
    await second.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('serves two processes and stops with the last one', async () => {
    const [first, second] = await Promise.all([start(), start()]);
    const pid = postmasterPid();
    await first.stop();
    await healthy(second);
    expect(isAlive(pid)).toBe(true);
    await second.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('starts although another process has the number that a power cut left behind', async () => {
    await (await start()).stop();
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid');
    const { uid, gid } = statSync(join(dataDir, 'postgres'));
    const stranger = spawn('sleep', ['600'], process.getuid?.() === 0 ? { uid, gid } : {});
    writeFileSync(pidFile, `${stranger.pid}\n${dataDir}/postgres\n0\n5432\n\n127.0.0.1\n\nready\n`);
    const server = await start();
    expect(postmasterPid()).not.toBe(stranger.pid);
    await server.stop();
    stranger.kill();
  });

  it('comes back when it was killed, and health tells meanwhile', async () => {
    const server = await start();
    const health = async () => (await fetch(`${server.url}/health`)).status;
    await healthy(server);
    // It stays away for as long as it has nothing to start with.
    const settings = join(dataDir, 'postgres', 'postgresql.conf');
    renameSync(settings, `${settings}.away`);
    process.kill(postmasterPid(), 'SIGKILL');
    await eventually(async () => ((await health()) === 503 ? true : undefined));
    renameSync(`${settings}.away`, settings);
    await eventually(async () => ((await health()) === 200 ? true : undefined));
    await server.stop();
  });

  (process.getuid?.() === 0 ? it : it.skip)(
    "serves root from a directory that is closed to PostgreSQL's user",
    async () => {
      const closed = join(home, 'closed');
      mkdirSync(closed, { mode: 0o700 });
      const own = join(closed, 'data');
      const server = await start({ DATA_DIR: own });
      await healthy(server);
      const pid = postmasterPid(own);
      await server.kill9();
      const next = await start({ DATA_DIR: own });
      expect(postmasterPid(own)).toBe(pid);
      expect(next.apiKey).toBe(server.apiKey);
      await next.stop();
      expect(isAlive(pid)).toBe(false);
    },
  );
});

describe('being asked to stop', () => {
  /** Starts a payment that stays with the acquirer, and comes back once it is there. */
  async function paymentInFlight(server: RunningServer, charges: HeldCharges) {
    const sent = api(server, '/v1/payment_intents', {
      method: 'POST',
      headers: { 'idempotency-key': 'in-flight' },
      body: new URLSearchParams({
        amount: '2000',
        currency: 'usd',
        payment_method: 'pm_card_visa',
        confirm: 'true',
      }),
    });
    await charges.arrived();
    return { sent, charges };
  }

  /** Once the server has received the signal to stop. */
  async function expectFinished(
    { port }: RunningServer,
    payment: Awaited<ReturnType<typeof paymentInFlight>>,
  ): Promise<void> {
    await eventually(async () => ((await isRefused(port)) ? true : undefined));
    await payment.charges.release();
    const res = await payment.sent;
    expect(res.status).toBe(200);
    expect(res.headers.get('connection')).toBe('close');
    expect(await res.json()).toMatchObject({ status: 'succeeded' });
  }

  const isRefused = async (port: number): Promise<boolean> => {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return false;
    } catch {
      return true;
    } finally {
      socket.destroy();
    }
  };

  const patient = { ...PATIENT, DRAIN_TIMEOUT_MS: '300000' };

  it('Ctrl-C in a terminal lets a payment in flight finish, then PostgreSQL stops', async () => {
    const drained = join(home, 'drained');
    const server = await start({ DATA_DIR: drained, ...patient });
    const postmaster = postmasterPid(drained);
    const password = readFileSync(join(drained, 'postgres', 'paidonce.password'), 'utf8');
    const port = readFileSync(join(drained, 'postgres.port'), 'utf8');
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/paidonce`;
    const payment = await paymentInFlight(server, await holdCharges(url));
    // A terminal signals the whole group; PostgreSQL must not be in it.
    const group = spawnSync('ps', ['-o', 'pgid=', '-p', String(postmaster)], { encoding: 'utf8' });
    expect(Number(group.stdout)).toBe(postmaster);
    process.kill(-(server.process.pid ?? 0), 'SIGINT');
    await expectFinished(server, payment);
    expect(await server.program.ended).toEqual({ code: 0, signal: null });
    expect(isAlive(postmaster)).toBe(false);
  });

  it('SIGTERM lets a payment in flight finish', async () => {
    const database = await freshDatabase();
    const server = await startServer({ databaseUrl: database.url, env: patient });
    const payment = await paymentInFlight(server, await holdCharges(database.url));
    server.process.kill('SIGTERM');
    await expectFinished(server, payment);
    expect(await server.program.ended).toEqual({ code: 0, signal: null });
    await database.drop();
  });

  it('does not wait for connections that are kept alive without a request', async () => {
    const database = await freshDatabase();
    const server = await startServer({
      databaseUrl: database.url,
      env: { DRAIN_TIMEOUT_MS: '60000' },
    });
    const agent = new Agent({ keepAlive: true });
    const [res] = (await once(get(`${server.url}/health`, { agent }), 'response')) as [
      IncomingMessage,
    ];
    res.resume();
    await once(res, 'end');
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    agent.destroy();
    await database.drop();
  });

  it('cuts off a request that does not finish within DRAIN_TIMEOUT_MS', async () => {
    const database = await freshDatabase();
    const server = await startServer({
      databaseUrl: database.url,
      env: { DRAIN_TIMEOUT_MS: '300' },
    });
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const request = ['POST /v1/customers HTTP/1.1', 'Host: x', 'Content-Length: 100'];
    // The health check goes first on the same connection: its response shows that both were read.
    socket.write(`GET /health HTTP/1.1\r\nHost: x\r\n\r\n${request.join('\r\n')}\r\n\r\nemail=`);
    await once(socket, 'data');
    const closed = once(socket, 'close');
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    await closed;
    await database.drop();
  });
});

describe('a start that cannot succeed is one sentence and exit code 1', () => {
  async function refusal(env: Record<string, string>): Promise<string> {
    const program = Program.start('main', { env: { PORT: '0', ...env } });
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.stderr).not.toMatch(/^\s+at /m);
    expect(program.stdout).toBe('');
    return program.stderr;
  }

  it('wrong settings: a sentence for each', async () => {
    expect(await refusal({ PORT: '70000', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://x' })).toBe(
      'DATABASE_URL must be a URL like postgres://user:password@host:5432/database.\n' +
        'PORT must be a whole number from 0 to 65535, but is "70000".\n' +
        'LOG_LEVEL must be one of silent, error, warn, info, debug, but is "loud".\n',
    );
  });

  it('a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const database = await freshDatabase();
    expect(await refusal({ PORT: String(port), DATABASE_URL: database.url })).toBe(
      `Port ${port} on 127.0.0.1 is taken by another program: stop that one, or set PORT to another port (0 takes a free one).\n`,
    );
    await database.drop();
    other.close();
  });

  it('a port that is taken leaves no PostgreSQL behind', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    expect(await refusal({ PORT: String(port), DATA_DIR: dataDir })).toContain('is taken');
    expect(() => postmasterPid()).toThrow('ENOENT');
    other.close();
  });

  it('a database that is not there', async () => {
    const url = 'postgres://shop:secret@127.0.0.1:1/shop';
    expect(await refusal({ DATABASE_URL: url })).toBe(
      'The database 127.0.0.1:1/shop of DATABASE_URL cannot be used: connect ECONNREFUSED 127.0.0.1:1.\n',
    );
  });

  it('a wrong password, which is not repeated', async () => {
    const url = new URL(process.env.TEST_DATABASE_URL ?? '');
    url.password = 'not-the-secret';
    const sentence = await refusal({ DATABASE_URL: url.href });
    expect(sentence).toContain('password authentication failed for user "postgres"');
    expect(sentence).not.toContain('not-the-secret');
  });

  it('a database that does not respond within DATABASE_CONNECT_TIMEOUT_MS', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const url = `postgres://shop@127.0.0.1:${port}/shop`;
    expect(await refusal({ DATABASE_URL: url, DATABASE_CONNECT_TIMEOUT_MS: '200' })).toMatch(
      /^The database 127\.0\.0\.1:\d+\/shop of DATABASE_URL cannot be used: .*timeout.*\.\n$/,
    );
    silent.close();
  });

  it('a data directory that is none', async () => {
    const file = join(home, 'file');
    writeFileSync(file, '');
    expect(await refusal({ DATA_DIR: file })).toMatch(
      /^The embedded PostgreSQL cannot use .*file: EEXIST: .*\.\n$/,
    );
  });
});

describe('with a database of one’s own', () => {
  it('only the first start makes the sandbox account and shows its key', async () => {
    const database = await freshDatabase();
    const first = await startServer({ databaseUrl: database.url });
    expect(first.apiKey).toMatch(/^sk_test_\w{43}$/);
    expect((await api(first, '/v1/customers')).status).toBe(200);
    await first.stop();
    const second = await startServer({ databaseUrl: database.url });
    expect(second.apiKey).toBe('');
    expect((await api(second, '/v1/customers', { key: first.apiKey })).status).toBe(200);
    await second.stop();
    await database.drop();
  });

  it('four processes that start together on an empty database all come up', async () => {
    const database = await freshDatabase();
    const servers = await Promise.all(
      [1, 2, 3, 4].map(() => startServer({ databaseUrl: database.url })),
    );
    await Promise.all(servers.map(healthy));
    expect(servers.filter(({ apiKey }) => apiKey !== '')).toHaveLength(1);
    await Promise.all(servers.map((server) => server.stop()));
    await database.drop();
  });

  it('a process waits while another one migrates', async () => {
    const database = await freshDatabase();
    const other = new Client({ connectionString: database.url });
    await other.connect();
    await other.query('SELECT pg_advisory_lock($1)', [0x6d69_6772]);
    const starting = startServer({ databaseUrl: database.url });
    await eventually(async () => {
      const { rows } = await other.query(`
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted`);
      return rows[0] as object | undefined;
    });
    const { rows } = await other.query(`SELECT to_regclass('accounts') AS accounts`);
    expect(rows).toEqual([{ accounts: null }]);
    await other.end();
    const server = await starting;
    await healthy(server);
    await server.stop();
    await database.drop();
  });
});

describe('the worker', () => {
  it('R18 purges a key whose life is over, and ends when asked to', async () => {
    const database = await freshDatabase();
    const server = await startServer({ databaseUrl: database.url });
    await api(server, '/v1/customers', {
      method: 'POST',
      headers: { 'idempotency-key': 'order-1' },
      body: new URLSearchParams({ email: 'a@example.com' }),
    });
    await server.stop();
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const keys = async () =>
      (await client.query<{ key: string }>('SELECT key FROM idempotency_keys')).rows;
    expect(await keys()).toHaveLength(1);
    await client.query(`UPDATE idempotency_keys SET expires_at = now() - interval '1 second'`);
    const worker = Program.start('worker', {
      env: { DATABASE_URL: database.url, PURGE_INTERVAL_SECONDS: '1', LOG_LEVEL: 'error' },
    });
    await eventually(async () => ((await keys()).length === 0 ? true : undefined));
    expect(await worker.stop()).toEqual({ code: 0, signal: null });
    expect(worker.stderr).toBe('');
    await client.end();
    await database.drop();
  });
});
