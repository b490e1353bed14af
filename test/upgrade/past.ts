/** What happens on a data directory before today's server sees it, all of it through the API. */
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../../src/embedded-postgres';
import { eventually } from '../support/eventually';
import type { Program } from '../support/server';
import type { EarlierServer } from './earlier';
import { type ReceivedResponse, objectOf, Shop, type KeyedRequest } from './shop';

export interface Past {
  readonly sandbox: Shop;
  /** An account of its own, with the name in its customers. */
  readonly other: Shop;
  /** Ids of what is there. */
  readonly customer: string;
  readonly paymentMethod: string;
  readonly paid: string;
  readonly authorised: string;
  /** Each request with a key, with its first response and its replay. */
  readonly replays: readonly { readonly sent: KeyedRequest; readonly replay: ReceivedResponse }[];
  /** The response to reading a path. */
  readonly reads: ReadonlyMap<string, ReceivedResponse>;
  /** Charged at the acquirer, then cut off before the response. */
  readonly unfinished: KeyedRequest;
  /** An earlier server that still runs, without recovery. */
  readonly left: { readonly program: Program; readonly url: string };
}

export const AMOUNTS = { paid: 2000, refunded: 500, authorised: 3000, unfinished: 4500, left: 700 };

/** Longer than it takes to end a process whose charge has been seen at the acquirer. */
const SLOW = { SANDBOX_LATENCY_MS: '12000', IDEMPOTENCY_REMOTE_DEADLINE_MS: '15000' };
/** Leaves what was cut off to others. */
const IDLE = { JOBS: 'off', IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0' };

/** Fills the data directory, and leaves one process of the earlier server running on it. */
export async function past(earlier: EarlierServer, dataDir: string): Promise<Past> {
  const env = { DATA_DIR: dataDir };
  const first = await earlier.start(env);
  const [, apiKey = ''] = /^ {2}(sk_test_\S+)$/m.exec(first.program.stdout) ?? [];
  const sandbox = new Shop(first.url, apiKey);
  const other = new Shop(first.url, await newKey(earlier, env));
  const trade = await trades(sandbox, other);
  await first.program.stop();

  const unfinished = await cutOff(earlier, { ...env, ...SLOW }, dataDir, sandbox);
  const left = await earlier.start({ ...env, ...IDLE });
  sandbox.url = left.url;
  // Again and again, so that it has prepared what it needs for that.
  for (const turn of [1, 2, 3]) {
    objectOf((await sandbox.pay(`left-${turn}`, AMOUNTS.left)).received);
    objectOf(await sandbox.get('/v1/payment_intents?limit=1'));
  }
  return { sandbox, other, ...trade, unfinished, left };
}

async function newKey(earlier: EarlierServer, env: Record<string, string>): Promise<string> {
  const keys = earlier.program('keys', env, ['create', '--account', 'other-shop']);
  await keys.ended;
  const [, key] = /^(sk_test_\S+)$/m.exec(keys.stdout) ?? [];
  if (key === undefined) throw new Error(`There is no API key: ${keys.stdout}${keys.stderr}`);
  return key;
}

async function trades(sandbox: Shop, other: Shop) {
  const sent: KeyedRequest[] = [];
  const keep = (one: KeyedRequest, status = 200) => {
    sent.push(one);
    return objectOf(one.received, status).id;
  };
  const customer = keep(
    await sandbox.post('customer', '/v1/customers', {
      name: 'Ada Lövelace ✓',
      email: 'Ada@example.com',
      'metadata[size]': 'XL',
    }),
  );
  const method = await sandbox.post('attach', '/v1/payment_methods/pm_card_visa/attach', {
    customer,
  });
  const paymentMethod = keep(method);
  const fields = { customer, payment_method: paymentMethod };
  const paid = keep(await sandbox.pay('paid', AMOUNTS.paid, fields));
  const manual = { ...fields, capture_method: 'manual' };
  const authorised = keep(await sandbox.pay('authorised', AMOUNTS.authorised, manual));
  const refunded = { payment_intent: paid, amount: String(AMOUNTS.refunded) };
  keep(await sandbox.post('refunded', '/v1/refunds', refunded));
  keep(
    await sandbox.pay('declined', 1000, { payment_method: 'pm_card_chargeDeclined', customer }),
    402,
  );
  keep(await sandbox.post('refused', '/v1/refunds', { ...refunded, amount: '99999' }), 400);
  const theirs = objectOf(
    (await other.post('customer', '/v1/customers', { name: 'Bob' })).received,
  ).id;

  const replays: Past['replays'][number][] = [];
  for (const one of sent) replays.push({ sent: one, replay: await sandbox.again(one) });
  const reads = new Map<string, ReceivedResponse>();
  for (const path of await paths(sandbox, customer, paid)) reads.set(path, await sandbox.get(path));
  reads.set(`/v1/customers/${theirs}`, await sandbox.get(`/v1/customers/${theirs}`)); // a 404
  return { customer, paymentMethod, paid, authorised, replays, reads };
}

/** Of everything that belongs to the customer, one by one and in lists. */
async function paths(shop: Shop, customer: string, paid: string): Promise<string[]> {
  const lists = [
    `/v1/customers?email=Ada%40example.com`,
    `/v1/customers?limit=100`,
    `/v1/customers/${customer}/payment_methods`,
    `/v1/payment_intents?customer=${customer}`,
    `/v1/charges?customer=${customer}&expand[]=data.payment_intent`,
    `/v1/refunds?payment_intent=${paid}&expand[]=data.charge`,
  ];
  const objects: string[] = [];
  for (const list of lists) {
    const { data } = objectOf(await shop.get(list)) as unknown as { data: { id: string }[] };
    if (data.length === 0) throw new Error(`There is nothing at ${list}.`);
    const [collection] =
      /\/v1\/\w+$|\/payment_methods$/.exec(new URL(list, shop.url).pathname) ?? [];
    const place = collection?.startsWith('/v1') ? collection : '/v1/payment_methods';
    objects.push(...data.map(({ id }) => `${place}/${id}`));
  }
  const keys = ['paid', 'refunded', 'declined'].map((key) => `/v1/idempotency_keys/${key}`);
  return [...new Set([...lists, ...objects, ...keys])];
}

/** A payment whose process is killed when the acquirer has charged and its response is on the way. */
async function cutOff(
  earlier: EarlierServer,
  env: Record<string, string>,
  dataDir: string,
  shop: Shop,
): Promise<KeyedRequest> {
  const { program, url } = await earlier.start(env);
  shop.url = url;
  const key = 'unfinished';
  let received: ReceivedResponse | undefined;
  const request = shop.pay(key, AMOUNTS.unfinished).then(
    (sent) => void (received = sent.received),
    () => undefined,
  );
  await withDatabase(dataDir, (database) =>
    eventually(
      'the acquirer charges',
      async () => received !== undefined || (await charges(database, AMOUNTS.unfinished)) === 1,
      SLOW_DEADLINE_MS,
    ),
  );
  await program.kill9();
  await request;
  if (received !== undefined)
    throw new Error(`It got a response before it was cut off: ${received.body}`);
  const form = { amount: String(AMOUNTS.unfinished), currency: 'usd', confirm: 'true' };
  return {
    key,
    path: '/v1/payment_intents',
    form: { ...form, payment_method: 'pm_card_visa' },
    received: { status: 0, headers: new Headers(), body: '' },
  };
}

const SLOW_DEADLINE_MS = 30_000;

/** With a connection to the embedded database, which goes on running if a server uses it. */
export async function withDatabase<T>(
  dataDir: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const server = await startEmbeddedPostgres({ dataDir });
  const client = new Client({ connectionString: server.url });
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end();
    await server.stop();
  }
}

/** How often the acquirer has charged this amount. */
export async function charges(client: Client, amount: number): Promise<number> {
  const { rows } = await client.query<{ count: string }>(
    `SELECT count(*) FROM acquirer.operations
     WHERE kind = 'charge' AND amount = $1 AND answer ->> 'outcome' = 'approved'`,
    [amount],
  );
  return Number(rows[0]?.count);
}
