/** Duplicates that wait for the first request to finish. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import type { Pool } from 'pg';
import { KeyStore } from '../../../src/idempotency/store/key.store';
import { WaitingRoom } from '../../../src/idempotency/pipeline/waiting-room';
import { openShop, type Shop } from '../shop.fixture';

const WAIT = { prefer: 'wait=60' };

describe('R8 duplicates that wait', () => {
  let shop: Shop;
  let neighbour: Shop;
  beforeAll(async () => {
    shop = await openShop('fastify', { poolSize: 4, options: { maxWaiters: 400 } });
    const databaseUrl = (shop.dataSource.options as { url: string }).url;
    neighbour = await openShop('fastify', { poolSize: 4, databaseUrl });
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(async () => {
    await neighbour.close();
    await shop.close();
  });

  it('get the owner’s response as soon as it is stored, in this process and in another', async () => {
    const key = randomUUID();
    const body = { amount: 3, hold: 'owner' };
    const held = once(shop.watch, 'held owner');
    const owner = shop.post('/orders', body, key);
    await held;
    const copies = [shop, neighbour].flatMap((at) =>
      Array.from({ length: 10 }, () => at.post('/orders', body, key, WAIT)),
    );
    await waitersIn(shop, 10);
    await waitersIn(neighbour, 10);
    shop.watch.release('owner');
    const first = await owner;
    for (const copy of await Promise.all(copies)) {
      expect([copy.status, copy.text]).toEqual([201, first.text]);
      expect(copy.headers.get('idempotent-replayed')).toBe('true');
    }
    expect([shop.watch.runs, neighbour.watch.runs]).toEqual([1, 0]);
  });

  it('cost the database one read and one poller together, whether they wait or not', async () => {
    const key = randomUUID();
    const body = { amount: 3, hold: 'looked' };
    const atOnce = looksAtOnce(shop.app.get<KeyStore>(KeyStore, { strict: false }));
    // The result of one read is reused for a moment, which lasts until every copy is here.
    jest.spyOn(performance, 'now').mockReturnValue(performance.now());
    const held = once(shop.watch, 'held looked');
    const copies = Array.from({ length: 40 }, (_, at) =>
      shop.post('/orders', body, key, at % 2 ? WAIT : undefined),
    );
    await held;
    await waitersIn(shop, 19);
    expect(atOnce()).toBe(1);
    jest.restoreAllMocks();
    shop.watch.release('looked');
    const statuses = (await Promise.all(copies)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([201, 409]));
    // No reused result is left behind: the next copy finds the response.
    expect((await shop.post('/orders', body, key)).status).toBe(201);
  });

  it('share the response that one read finds, but not with another request under the key', async () => {
    const key = randomUUID();
    const first = await neighbour.post('/orders', { amount: 3 }, key);
    const [other, ...copies] = await Promise.all(
      [4, 3, 3, 3, 3].map((amount) => shop.post('/orders', { amount }, key)),
    );
    expect(other?.json['code']).toBe('idempotency_key_reused');
    expect(copies.map(({ text }) => text)).toEqual(copies.map(() => first.text));
  });

  it('leave a pool of 4 connections to others: 300 copies do not delay an unrelated request', async () => {
    const key = randomUUID();
    const body = { amount: 3, hold: 'crowd' };
    const held = once(shop.watch, 'held crowd');
    const owner = shop.post('/orders', body, key);
    await held;
    const copies = Array.from({ length: 300 }, () => shop.post('/orders', body, key, WAIT));
    await waitersIn(shop, 300);
    const { master: pool } = shop.dataSource.driver as unknown as { master: Pool };
    const queues: number[] = [];
    const note = () => void queues.push(pool.waitingCount);
    pool.on('acquire', note);
    for (let n = 0; n < 30; n += 1) {
      expect((await shop.post('/orders', { amount: 1 }, randomUUID())).status).toBe(201);
    }
    pool.off('acquire', note);
    shop.watch.release('crowd');
    const first = await owner;
    const texts = new Set((await Promise.all(copies)).map((copy) => copy.text));
    expect([...texts]).toEqual([first.text]);
    // The owner holds one of the four, and one reads for all copies: an unrelated request finds a free one.
    expect(queues.length).toBeGreaterThanOrEqual(30);
    expect(Math.max(...queues)).toBeLessThanOrEqual(1);
  });

  it('run, one of them, when the owner ended without a response; the others keep waiting', async () => {
    const key = randomUUID();
    const body = { amount: 3, hold: 'once', fail: 503 };
    const { runs } = shop.watch;
    let held = once(shop.watch, 'held once');
    const owner = shop.post('/orders', body, key);
    await held;
    held = once(shop.watch, 'held once');
    const copies = Array.from({ length: 5 }, () => shop.post('/orders', body, key, WAIT));
    await waitersIn(shop, 5);
    shop.watch.release('once');
    expect((await owner).status).toBe(503);
    await held;
    expect(shop.watch.runs).toBe(runs + 2);
    for (let left = 5; left > 0; left -= 1) {
      const next = left > 1 ? once(shop.watch, 'held once') : undefined;
      shop.watch.release('once');
      await next;
    }
    const statuses = (await Promise.all(copies)).map(({ status }) => status);
    expect(statuses).toEqual([503, 503, 503, 503, 503]);
    expect(shop.watch.runs).toBe(runs + 6);
  });

  it('get 409 when their time is up, when they are too many, and at once without Prefer', async () => {
    const key = randomUUID();
    const body = { amount: 3, hold: 'long' };
    const held = once(shop.watch, 'held long');
    const owner = shop.post('/orders', body, key);
    await held;
    expect((await shop.post('/orders', body, key)).status).toBe(409);
    expect((await shop.post('/orders', body, key, { prefer: 'wait=0' })).status).toBe(409);
    expect((await shop.post('/orders', body, key, { prefer: 'wait=1' })).status).toBe(409);
    const refused: unknown[] = [];
    const crowd = Array.from({ length: 402 }, async () => {
      const reply = await shop.post('/orders', body, key, WAIT);
      if (reply.status === 409) refused.push(reply);
      return reply;
    });
    await waitersIn(shop, 400);
    while (refused.length < 2) await turn();
    shop.watch.release('long');
    const statuses = (await Promise.all(crowd)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(400);
    expect(statuses.filter((status) => status === 409)).toHaveLength(2);
    expect((await owner).status).toBe(201);
  });

  it('R7 do not get the response of another request', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held mine');
    const owner = shop.post('/orders', { amount: 3, hold: 'mine' }, key);
    await held;
    const other = shop.post('/orders', { amount: 4, hold: 'mine' }, key, WAIT);
    await waitersIn(shop, 1);
    shop.watch.release('mine');
    expect((await owner).status).toBe(201);
    expect((await other).status).toBe(422);
  });
});

/** Counts, from now on, the most reads of the store that were in flight at once. */
function looksAtOnce(store: KeyStore): () => number {
  const open = store.open.bind(store);
  let [now, most] = [0, 0];
  jest.spyOn(store, 'open').mockImplementation(async (id) => {
    now += 1;
    most = Math.max(most, now);
    try {
      return await open(id);
    } finally {
      now -= 1;
    }
  });
  return () => most;
}

/** Resolves when `count` requests wait in this process. */
async function waitersIn(shop: Shop, count: number): Promise<void> {
  const room = shop.app.get(WaitingRoom, { strict: false });
  while (room.size < count) await turn();
}
