/**
 * A hundred copies of one request at once, against compiled servers in separate processes, some of which are
 * killed. The tests compare with the acquirer ledger and the tables, which they read directly.
 */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import Stripe from 'stripe';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { holdCharges } from '../support/held-charges';
import { PATIENT } from '../support/patience';
import { type RunningServer, startServer, stopAll } from '../support/server';

const COPIES = 100;
const PAYMENT: PostRequest = {
  path: '/v1/payment_intents',
  body: 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true',
};
const customer = (email: string): PostRequest => ({
  path: '/v1/customers',
  body: `email=${email}`,
});

interface PostRequest {
  readonly path: string;
  readonly body: string;
}

interface Seen {
  readonly status: number;
  readonly body: string;
  readonly originalRequest: string | null;
}

let database: FreshDatabase;
let sql: Client;
let apiKey: string;

beforeAll(async () => {
  database = await freshDatabase();
  sql = new Client({ connectionString: database.url });
  await sql.connect();
});
afterEach(stopAll);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

async function start(env: Record<string, string> = {}): Promise<RunningServer> {
  const server = await startServer({ databaseUrl: database.url, env: { ...PATIENT, ...env } });
  apiKey ||= server.apiKey;
  return server;
}

/** Sends one request; undefined when the server is down, or dies meanwhile. */
async function send(
  server: RunningServer,
  { path, body }: PostRequest,
  key: string,
  headers: Record<string, string> = {},
): Promise<Seen | undefined> {
  try {
    const res = await fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${apiKey}`,
        'content-type': 'application/x-www-form-urlencoded',
        'idempotency-key': key,
        ...headers,
      },
      body,
    });
    return {
      status: res.status,
      body: await res.text(),
      originalRequest: res.headers.get('original-request'),
    };
  } catch {
    return undefined;
  }
}

/** Sends until there is a final response, neither 409 nor 5xx, as a client that retries does. */
async function retryUntilFinal(servers: () => RunningServer, request: PostRequest, key: string) {
  for (;;) {
    const seen = await send(servers(), request, key, { prefer: 'wait=2' });
    if (seen && seen.status !== 409 && seen.status < 500) return seen;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const countOf = async (query: string, values: unknown[]): Promise<number> => {
  const { rows } = await sql.query<{ count: number }>(query, values);
  return rows[0]?.count ?? -1;
};
const inLedger = (payment: string) =>
  countOf(
    `SELECT count(*)::int AS count FROM acquirer.operations o JOIN charges c ON c.account = o.merchant
     WHERE o.kind = 'charge' AND c.payment_intent = $1 AND o.payment = c.reference`,
    [payment],
  );
const allCharges = () =>
  countOf(`SELECT count(*)::int AS count FROM acquirer.operations WHERE kind = 'charge'`, []);
const unfinished = () =>
  countOf('SELECT count(*)::int AS count FROM idempotency_keys WHERE status IS NULL', []);

function oneResponse(seen: (Seen | undefined)[]): Record<string, unknown> {
  const responses = new Set(seen.map((res) => `${res?.status} ${res?.body}`));
  expect([...responses]).toHaveLength(1);
  expect(new Set(seen.map((res) => res?.originalRequest)).size).toBe(1);
  expect(seen[0]?.status).toBe(200);
  return JSON.parse(seen[0]?.body ?? '') as Record<string, unknown>;
}

describe('a hundred copies at once', () => {
  it('R8 R9 P1 make one customer in one process, and all copies that wait get the same bytes', async () => {
    const server = await start();
    const key = randomUUID();
    const email = `${key}@example.com`;
    const seen = await Promise.all(
      Array.from({ length: COPIES }, () =>
        send(server, customer(email), key, { prefer: 'wait=60' }),
      ),
    );
    oneResponse(seen);
    expect(
      await countOf('SELECT count(*)::int AS count FROM customers WHERE email = $1', [email]),
    ).toBe(1);
  });

  it('R8 R10 P1 charge once in one process, and copies that do not wait get 409, then the response', async () => {
    const server = await start();
    const key = randomUUID();
    const before = await allCharges();
    const charges = await holdCharges(database.url);
    const refused: unknown[] = [];
    const first = Array.from({ length: COPIES }, async () => {
      const res = await send(server, PAYMENT, key);
      if (res?.status === 409) refused.push(res);
      return res;
    });
    await charges.arrived();
    await eventually('all but one are refused', () => refused.length === COPIES - 1);
    await charges.release();
    const later = Array.from({ length: COPIES }, () => send(server, PAYMENT, key));
    const seen = await Promise.all([...first, ...later]);
    const finals = seen.filter((res) => res?.status !== 409);
    expect(finals).toHaveLength(COPIES + 1);
    const res = oneResponse(finals);
    expect(await allCharges()).toBe(before + 1);
    expect(await inLedger(String(res['id']))).toBe(1);
  });

  it('R8 P1 charge once over two processes on one database', async () => {
    const servers = await Promise.all([start({ SANDBOX_LATENCY_MS: '50' }), start()]);
    const key = randomUUID();
    const before = await allCharges();
    const seen = await Promise.all(
      Array.from({ length: COPIES }, (_, i) =>
        send(servers[i % 2]!, PAYMENT, key, { prefer: 'wait=60' }),
      ),
    );
    oneResponse(seen);
    expect(await allCharges()).toBe(before + 1);
  });

  it('P1 charge once through the official SDK with its own retries', async () => {
    const server = await start();
    const stripe = new Stripe(apiKey, {
      host: '127.0.0.1',
      port: server.port,
      protocol: 'http',
      maxNetworkRetries: 30,
      telemetry: false,
    });
    const idempotencyKey = randomUUID();
    const before = await allCharges();
    const payments = await Promise.all(
      Array.from({ length: COPIES }, () =>
        stripe.paymentIntents.create(
          { amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true },
          { idempotencyKey },
        ),
      ),
    );
    expect(new Set(payments.map(({ id }) => id)).size).toBe(1);
    expect(await allCharges()).toBe(before + 1);
  });

  it('R9 P1 P2 make one customer though the process is killed among them', async () => {
    const failing = await start();
    const survivor = await start();
    const key = randomUUID();
    const email = `${key}@example.com`;
    let turn = 0;
    const seen = Array.from({ length: COPIES }, () =>
      retryUntilFinal(() => (turn++ % 2 === 0 ? failing : survivor), customer(email), key),
    );
    await failing.kill9();
    oneResponse(await Promise.all(seen));
    expect(
      await countOf('SELECT count(*)::int AS count FROM customers WHERE email = $1', [email]),
    ).toBe(1);
  });

  it('R10 R11 P1 P2 P4 charge once though the process is killed between the charge and its record', async () => {
    const failing = await start();
    const survivor = await start();
    const key = randomUUID();
    const before = await allCharges();
    const charges = await holdCharges(database.url);
    const owner = send(failing, PAYMENT, key);
    // The claim is committed and the charge is with the acquirer: now the owner dies.
    await charges.arrived();
    const copies = Array.from({ length: COPIES }, () =>
      retryUntilFinal(() => survivor, PAYMENT, key),
    );
    await failing.kill9();
    expect(await owner).toBeUndefined();
    // The acquirer charges, and no process receives the result.
    await charges.release();
    await eventually(
      'the charge is in the acquirer ledger',
      async () => (await allCharges()) === before + 1,
    );
    expect(await unfinished()).toBe(1);
    await sql.query('UPDATE idempotency_keys SET lease_until = now() WHERE status IS NULL');
    const res = oneResponse(await Promise.all(copies));
    expect(res['status']).toBe('succeeded');
    expect(await allCharges()).toBe(before + 1);
    expect(await inLedger(String(res['id']))).toBe(1);
    expect(await unfinished()).toBe(0);
  });
});
