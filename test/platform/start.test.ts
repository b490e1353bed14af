/** Processes start: without any configuration, on the embedded PostgreSQL, and with a database of one’s own. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { freshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { Program, startServer } from '../support/server';
import {
  api,
  cleanUpAfterwards,
  dataDir,
  healthy,
  home,
  isAlive,
  postmasterPid,
  start,
} from './programs.fixture';

cleanUpAfterwards();

describe('npm start without any configuration', () => {
  let key: string;
  let customer: string;

  it('makes a sandbox account, and prints a line that takes a payment', async () => {
    const server = await start({ LOG_LEVEL: 'info' });
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
    expect(server.program.stderr).toBe(''); // Nest's words about the start are for level debug
    expect(server.program.stdout).not.toContain('[Nest]');
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
    await eventually('health tells', async () => (await health()) === 503);
    renameSync(`${settings}.away`, settings);
    await eventually('it is back', async () => (await health()) === 200);
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
    await eventually('it waits for the lock', async () => {
      const { rows } = await other.query(`
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted`);
      return rows.length > 0;
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
    await eventually('the key is purged', async () => (await keys()).length === 0);
    expect(await worker.stop()).toEqual({ code: 0, signal: null });
    expect(worker.stderr).toBe('');
    await client.end();
    await database.drop();
  });
});
