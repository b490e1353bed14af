/** What an application with the package must do: on a real database, with copies at once and a `kill -9`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client } from 'pg';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import type { FreshApplication, RunningApplication } from './fresh-application';

const COPIES = 100;
/** Longer than the lease of what was cut off, and two runs of recovery. */
const RECOVERY_MS = 60_000;
/** What the package may add to an application. */
const MAX_PACKAGES = 1;
const MAX_KILOBYTES = 500;

interface Reply {
  readonly status: number;
  readonly replayed: boolean;
  readonly text: string;
}

type Post = (path: string, key: string, item: string) => Promise<Reply>;

/**
 * @param say told what holds, a sentence each
 * @throws AssertionError for what does not
 */
export async function tryApplication(
  application: FreshApplication,
  say: (sentence: string) => void,
): Promise<void> {
  const { packages, kilobytes } = application.cost;
  assert.ok(packages <= MAX_PACKAGES && kilobytes <= MAX_KILOBYTES, `it adds ${kilobytes} KB`);
  await onDatabase((database) => tryReadme(application, database));
  say("the README's three steps lead to a replay");
  await onDatabase((database) => tryCopies(application, database));
  say(`${COPIES} copies at once make one order`);
  await onDatabase((database) => tryConformance(application, database));
  say('the conformance kit that it brings finds nothing wrong');
  await onDatabase((database) => tryCrash(application, database));
  say('what kill -9 has cut off is finished, once');
}

async function onDatabase(work: (database: FreshDatabase) => Promise<void>): Promise<void> {
  const database = await freshDatabase();
  try {
    await work(database);
  } finally {
    await database.drop();
  }
}

async function tryReadme(application: FreshApplication, database: FreshDatabase): Promise<void> {
  const running = await application.start('readme', { DATABASE_URL: database.url });
  const post = poster(running);
  const first = await post('/orders', 'order-1', 'tea');
  const replay = await post('/orders', 'order-1', 'tea');
  const reuse = await post('/orders', 'order-1', 'coffee');
  assert.deepEqual([first.status, first.replayed], [201, false], first.text);
  assert.deepEqual(replay, { ...first, replayed: true });
  assert.equal(reuse.status, 422, reuse.text);
  assert.match(reuse.text, /idempotency_key_reused/);
  assert.match(reuse.text, /item/);
  assert.equal(await countOrders(database), 1);
  await stop(running);
}

async function tryCopies(application: FreshApplication, database: FreshDatabase): Promise<void> {
  const running = await application.start('shop', { DATABASE_URL: database.url });
  const post = poster(running);
  const copies = await Promise.all(
    Array.from({ length: COPIES }, () => post('/orders', 'order-1', 'tea')),
  );
  const made = copies.filter(({ status }) => status === 201);
  const others = copies.filter(({ status }) => ![201, 409].includes(status));
  assert.deepEqual(others, []);
  assert.equal(made.filter(({ replayed }) => !replayed).length, 1);
  assert.equal(new Set(made.map(({ text }) => text)).size, 1);
  const after = await post('/orders', 'order-1', 'tea');
  assert.deepEqual([after.replayed, after.text], [true, made[0]?.text]);
  const other = await post('/orders', 'order-2', 'tea');
  assert.deepEqual([other.status, other.replayed], [201, false]);
  assert.equal(await countOrders(database), 2);
  await stop(running);
}

async function tryConformance(
  application: FreshApplication,
  database: FreshDatabase,
): Promise<void> {
  const running = await application.start('shop', { DATABASE_URL: database.url });
  const { checks } = await application.check(running.url, 'paidonce', {
    path: '/orders',
    headers: { 'x-account': 'ada' },
    otherAccount: { 'x-account': 'bob' },
    body: { item: 'tea' },
    otherBody: { item: 'coffee' },
    effects: { identity: '/id' },
    timeoutMs: 60_000,
  });
  assert.deepEqual(
    checks.filter(({ result }) => result === 'failed'),
    [],
  );
  assert.ok(checks.filter(({ result }) => result === 'passed').length > 10, 'little was tried');
  await stop(running);
}

async function tryCrash(application: FreshApplication, database: FreshDatabase): Promise<void> {
  const carrier = await Carrier.open();
  try {
    const env = { DATABASE_URL: database.url, CARRIER_URL: carrier.url };
    const first = await application.start('shop', env);
    const cutOff = poster(first)('/parcels', 'parcel-1', 'tea').catch(() => undefined);
    await eventually('the carrier is asked', () => carrier.keys.length === 1);
    await first.program.kill9();
    await cutOff;
    carrier.works();
    const running = await application.start('shop', env);
    // Nobody sends the request again: recovery does.
    const isSent = async () => (await items(database)).includes('tea as track-1');
    await eventually('recovery finishes it', isSent, RECOVERY_MS);
    const replay = await poster(running)('/parcels', 'parcel-1', 'tea');
    assert.deepEqual([replay.status, replay.replayed], [201, true], replay.text);
    assert.match(replay.text, /track-1/);
    assert.deepEqual(await items(database), ['tea as track-1']);
    assert.deepEqual(carrier.keys, [carrier.keys[0], carrier.keys[0]]);
    await stop(running);
  } finally {
    await carrier.close();
  }
}

/** As a shop's client sends requests. */
function poster({ url }: RunningApplication): Post {
  return async (path, key, item) => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': key,
        'x-account': 'ada',
      },
      body: JSON.stringify({ item }),
    });
    const replayed = response.headers.get('idempotent-replayed') === 'true';
    return { status: response.status, replayed, text: await response.text() };
  };
}

async function stop({ program }: RunningApplication): Promise<void> {
  const ended = await program.stop();
  assert.ok(ended.code === 0 || ended.signal === 'SIGINT', program.stderr);
  assert.equal(program.stderr, '', 'it complained');
}

async function items({ url }: FreshDatabase): Promise<string[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ item: string }>('SELECT item FROM orders ORDER BY id');
    return rows.map(({ item }) => item);
  } finally {
    await client.end();
  }
}

const countOrders = async (database: FreshDatabase): Promise<number> =>
  (await items(database)).length;

/** The other company: silent at first, and then it makes one label for each key. */
class Carrier {
  /** Of each request, in order. */
  readonly keys: string[] = [];
  #silent = true;

  private constructor(private readonly server: Server) {}

  static async open(): Promise<Carrier> {
    const server = createServer();
    const carrier = new Carrier(server);
    server.on('request', (request, response) => {
      carrier.keys.push(String(request.headers['idempotency-key']));
      if (carrier.#silent) return;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ tracking: `track-${new Set(carrier.keys).size}` }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return carrier;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  works(): void {
    this.#silent = false;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
