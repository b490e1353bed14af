/** Keys that an endpoint takes from the request, and what it leaves out of the comparison (R1, R3, R7, R18, R19). */
import { randomUUID } from 'node:crypto';
import { Idempotent, RecoveryJob } from '../../../src/idempotency';
import { type Adapter, impersonated, openShop, type Shop } from '../shop.fixture';
import {
  countKeys,
  countOrders,
  noConnectionIsLentOut,
  noTransactionIsOpen,
} from '../shop-database.fixture';
import { Client } from './client.fixture';
import { DeliveriesController, PROVIDER } from './deliveries.fixture';
import { OrderWriter } from './enhanced-shop.fixture';

describe.each<Adapter>(['fastify', 'express'])('a delivered event on %s', (adapter) => {
  let shop: Shop;
  let client: Client;
  beforeAll(async () => {
    shop = await openShop(adapter, {
      controllers: [DeliveriesController],
      providers: [OrderWriter],
      options: {
        recoveryIntervalMs: 0,
        runAs: ({ account }, work) => impersonated.run(account, work),
      },
    });
    client = new Client(shop);
  });
  afterAll(() => shop.close());
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });
  const deliver = (path: string, body: object, key?: string, headers = {}) =>
    client.send(`/deliveries/${path}`, key, { body, headers });

  it('runs once, whatever its bytes, its query and the headers of its redelivery', async () => {
    const id = `evt_${randomUUID()}`;
    const before = await countOrders(shop);
    const first = await deliver('event', { id, try: 1 }, randomUUID());
    const again = await deliver('event?try=2', { try: 2, id }, '"malformed', {
      authorization: 'another account',
    });
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.text).toBe(first.text);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(await countOrders(shop)).toBe(before + 1);
  });

  it("R3 R18 has a key in its endpoint's scope, for 30 days", async () => {
    const id = `evt_${randomUUID()}`;
    await deliver('event', { id });
    const rows = await shop.dataSource.query<object[]>(
      `SELECT account, mode, extract(epoch FROM expires_at - created_at)::int AS life
       FROM idempotency_keys WHERE key = $1`,
      [id],
    );
    expect(rows).toEqual([{ account: PROVIDER, mode: '', life: 2_592_000 }]);
  });

  it('R7 is refused on another endpoint of the same scope', async () => {
    const id = `evt_${randomUUID()}`;
    await deliver('event', { id });
    const other = await deliver('other', { id });
    expect([other.status, other.text]).toEqual([422, expect.stringContaining('(path)')]);
  });

  it('may have an id that looks like a card number, which its sender cannot change', async () => {
    const id = '4242424242424242';
    await deliver('event', { id });
    expect((await deliver('event', { id })).headers.get('idempotent-replayed')).toBe('true');
  });

  it.each([
    ['no id', {}, 'no id by which'],
    ['an empty id', { id: '' }, 'no id by which'],
    ['an id that is no text', { id: 12 }, 'no id by which'],
    ['a body in which it cannot be looked for', [null], 'no id by which'],
    ['an id of 256 characters', { id: 'x'.repeat(256) }, 'has 256 characters'],
    ['an id beyond ASCII', { id: 'é' }, 'printable ASCII'],
  ])('with %s is refused, in words that speak of no header', async (_fault, body, words) => {
    const before = await countOrders(shop);
    const refused = await deliver('event', body, randomUUID());
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining(words)]);
    expect(refused.text).not.toMatch(/header|idempotency-key/i);
    expect(await countOrders(shop)).toBe(before);
  });

  it('R19 is finished by recovery under its key, though the header that had it is not stored', async () => {
    const id = `evt_${randomUUID()}`;
    shop.watch.remote = () => Promise.reject(new Error('connection lost'));
    expect((await deliver('header', {}, undefined, { 'x-event': id })).status).toBe(503);
    shop.watch.remote = () => Promise.resolve('told');
    const job = shop.app.get(RecoveryJob, { strict: false });
    expect(await job.runOnce()).toMatchObject({ found: 1, finished: 1 });
    const again = await deliver('header', {}, undefined, { 'x-event': id });
    expect(JSON.parse(again.text)).toMatchObject({ result: 'told' });
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(await countKeys(shop, id)).toBe(1);
  });

  it('R7 is compared by its body unless it says otherwise, without the names that are ignored', async () => {
    const id = randomUUID();
    const first = await deliver('compared', { id, amount: 1, client_timestamp: 1 });
    expect(JSON.parse(first.text)).toMatchObject({ body: { client_timestamp: 1 } });
    for (const other of [{ client_timestamp: 2 }, {}]) {
      const again = await deliver('compared', { id, amount: 1, ...other });
      expect(again.text).toBe(first.text);
    }
    const reused = await deliver('compared', { id, amount: 2, client_timestamp: 2 });
    expect([reused.status, reused.text]).toEqual([422, expect.stringContaining('in: amount.')]);
    const inside = await deliver('compared', { id, amount: 1, nested: { client_timestamp: 2 } });
    expect([inside.status, inside.text]).toEqual([422, expect.stringContaining('in: nested.')]);
  });
});

it.each([{ compare: 'key' }, { compare: 'key', key: () => 'a', ignore: ['b'] }] as const)(
  'options that contradict each other are refused: %j',
  (options) => {
    expect(() => Idempotent(options)).toThrow('it takes `key`, and leaves nothing for `ignore`');
  },
);
