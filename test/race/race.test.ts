/**
 * A hundred copies of one request at the same moment, against compiled servers in processes of their
 * own, some of which are killed. The truth is the acquirer's ledger and the tables, read directly.
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
const PAYMENT = 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true';

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

/** One request as it is; nothing when the server is not there or died under it. */
async function send(
  server: RunningServer,
  path: string,
  body: string,
  key: string,
  headers: Record<string, string> = {},
): Promise<Seen | undefined> {
  try {
    const response = await fetch(`${server.url}${path}`, {
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
      status: response.status,
      body: await response.text(),
      originalRequest: response.headers.get('original-request'),
    };
  } catch {
    return undefined;
  }
}

/** Sends until it is answered for good, as a client that retries does; not 409 and 5xx. */
async function insist(servers: () => RunningServer, path: string, body: string, key: string) {
  for (;;) {
    const seen = await send(servers(), path, body, key, { prefer: 'wait=2' });
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

function oneAnswer(seen: (Seen | undefined)[]): Record<string, unknown> {
  const answers = new Set(seen.map((answer) => `${answer?.status} ${answer?.body}`));
  expect([...answers]).toHaveLength(1);
  expect(new Set(seen.map((answer) => answer?.originalRequest)).size).toBe(1);
  expect(seen[0]?.status).toBe(200);
  return JSON.parse(seen[0]?.body ?? '') as Record<string, unknown>;
}

describe('a hundred copies at once', () => {
  it('R8 R9 P1 make one customer in one process, and all who wait get the same bytes', async () => {
    const server = await start();
    const key = randomUUID();
    const email = `${key}@example.com`;
    const seen = await Promise.all(
      Array.from({ length: COPIES }, () =>
        send(server, '/v1/customers', `email=${email}`, key, { prefer: 'wait=60' }),
      ),
    );
    oneAnswer(seen);
    expect(
      await countOf('SELECT count(*)::int AS count FROM customers WHERE email = $1', [email]),
    ).toBe(1);
  });

  it('R8 R10 P1 charge once in one process, and those who do not wait are told 409, then the answer', async () => {
    const server = await start();
    const key = randomUUID();
    const before = await allCharges();
    const charges = await holdCharges(database.url);
    const refused: unknown[] = [];
    const first = Array.from({ length: COPIES }, async () => {
      const answer = await send(server, '/v1/payment_intents', PAYMENT, key);
      if (answer?.status === 409) refused.push(answer);
      return answer;
    });
    await charges.arrived();
    await eventually('all but one are refused', () => refused.length === COPIES - 1);
    await charges.release();
    const later = Array.from({ length: COPIES }, () =>
      send(server, '/v1/payment_intents', PAYMENT, key),
    );
    const seen = await Promise.all([...first, ...later]);
    const answered = seen.filter((answer) => answer?.status !== 409);
    expect(answered).toHaveLength(COPIES + 1);
    const answer = oneAnswer(answered);
    expect(await allCharges()).toBe(before + 1);
    expect(await inLedger(String(answer['id']))).toBe(1);
  });

  it('R8 P1 charge once over two processes on one database', async () => {
    const servers = await Promise.all([start({ SANDBOX_LATENCY_MS: '50' }), start()]);
    const key = randomUUID();
    const before = await allCharges();
    const seen = await Promise.all(
      Array.from({ length: COPIES }, (_, i) =>
        send(servers[i % 2]!, '/v1/payment_intents', PAYMENT, key, { prefer: 'wait=60' }),
      ),
    );
    oneAnswer(seen);
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
    const doomed = await start();
    const survivor = await start();
    const key = randomUUID();
    const email = `${key}@example.com`;
    let turn = 0;
    const seen = Array.from({ length: COPIES }, () =>
      insist(() => (turn++ % 2 === 0 ? doomed : survivor), '/v1/customers', `email=${email}`, key),
    );
    await doomed.kill9();
    oneAnswer(await Promise.all(seen));
    expect(
      await countOf('SELECT count(*)::int AS count FROM customers WHERE email = $1', [email]),
    ).toBe(1);
  });

  it('R10 R11 P1 P2 P4 charge once though the process is killed between the charge and the record of it', async () => {
    const doomed = await start();
    const survivor = await start();
    const key = randomUUID();
    const before = await allCharges();
    const charges = await holdCharges(database.url);
    const owner = send(doomed, '/v1/payment_intents', PAYMENT, key);
    // The claim is committed and the charge is with the acquirer: now the owner dies.
    await charges.arrived();
    const copies = Array.from({ length: COPIES }, () =>
      insist(() => survivor, '/v1/payment_intents', PAYMENT, key),
    );
    await doomed.kill9();
    expect(await owner).toBeUndefined();
    // The acquirer charges, and there is nobody to hear of it.
    await charges.release();
    await eventually('the charge is in the books', async () => (await allCharges()) === before + 1);
    expect(await unfinished()).toBe(1);
    await sql.query('UPDATE idempotency_keys SET lease_until = now() WHERE status IS NULL');
    const answer = oneAnswer(await Promise.all(copies));
    expect(answer['status']).toBe('succeeded');
    expect(await allCharges()).toBe(before + 1);
    expect(await inLedger(String(answer['id']))).toBe(1);
    expect(await unfinished()).toBe(0);
  });
});
