/** The life of a key: when it begins and ends, by the database's clock alone (R5, R11, R18). */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Idempotent } from '../../../src/idempotency';
import { eventually } from '../../support/eventually';
import { age, DAY_S, openAgeingShop, purge, removeRows, rowOf } from '../ageing.fixture';
import { openShop, type Shop } from '../shop.fixture';
import { databaseUrlOf } from '../shop-database.fixture';

describe('the life of a key', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openAgeingShop();
  });
  afterAll(() => shop.close());
  beforeEach(() => removeRows(shop));
  afterEach(() => jest.restoreAllMocks());

  it('R18 is 24 hours by default, or as the endpoint declares', async () => {
    const [byDefault, short, long] = [randomUUID(), randomUUID(), randomUUID()];
    await shop.post('/orders', { amount: 1 }, byDefault);
    await shop.post('/lives/short', {}, short);
    await shop.post('/lives/long', {}, long);
    expect((await rowOf(shop, byDefault))?.life).toBe(DAY_S);
    expect((await rowOf(shop, short))?.life).toBe(60);
    expect((await rowOf(shop, long))?.life).toBe(30 * DAY_S);
  });

  it('R18 has its bounds checked where the endpoint is declared', () => {
    for (const ttl of [59, 0, -60, 2_592_001, 60.5, Number.NaN, Infinity]) {
      expect(() => Idempotent({ ttl })).toThrow('ttl is in seconds, from 60 to 2592000');
    }
    for (const ttl of [60, 2_592_000]) expect(() => Idempotent({ ttl })).not.toThrow();
  });

  it.each([59, 2_592_001, 1.5])(
    'R18 does not start with a life of %d seconds',
    async (ttlSeconds) => {
      await expect(
        openShop('fastify', { databaseUrl: databaseUrlOf(shop), options: { ttlSeconds } }),
      ).rejects.toThrow('ttlSeconds must be a whole number from 60 to 2592000');
    },
  );

  it('R5 before its end a repeat is a replay, and at its end a fresh key', async () => {
    const key = randomUUID();
    const first = await shop.post('/lives/short', {}, key);
    await age(shop, key, 1);
    const late = await shop.post('/lives/short', {}, key);
    expect([late.text, late.headers.get('idempotent-replayed')]).toEqual([first.text, 'true']);
    await age(shop, key, 59);
    const fresh = await shop.post('/lives/short', {}, key);
    expect(fresh.headers.get('idempotent-replayed')).toBeNull();
    expect(fresh.text).not.toBe(first.text);
    expect(fresh.headers.get('original-request')).toBe(fresh.headers.get('request-id'));
  });

  it.each([true, false])(
    'R5 an expired key is fresh at once, for another request too (purged before: %s)',
    async (purged) => {
      const key = randomUUID();
      await shop.post('/orders', { amount: 1 }, key);
      const before = await rowOf(shop, key);
      await age(shop, key, DAY_S);
      if (purged) expect(await purge(shop)).toMatchObject({ removed: 1, batches: 1 });
      const other = await shop.post('/orders', { amount: 2 }, key);
      expect(other.status).toBe(201);
      const after = await rowOf(shop, key);
      expect(after?.claim_id).not.toBe(before?.claim_id);
      expect(after).toMatchObject({ attempt: 1, life: DAY_S });
      expect(after?.age).toBeLessThan(DAY_S / 2);
      const replay = await shop.post('/orders', { amount: 2 }, key);
      expect(replay.text).toBe(other.text);
    },
  );

  it('R5 an expired key whose new life fails or is declined', async () => {
    const key = randomUUID();
    const stored = await shop.post('/orders', { amount: 1 }, key);
    await age(shop, key, DAY_S);
    expect((await shop.post('/orders', { amount: 1, fail: 500 }, key)).status).toBe(500);
    expect((await rowOf(shop, key))?.left).toBeLessThanOrEqual(0); // rolled back: the old row is there, expired
    expect((await shop.post('/orders', { amount: 1, fail: 402 }, key)).status).toBe(402);
    expect(await rowOf(shop, key)).toMatchObject({ status: 402, life: DAY_S, attempt: 1 });
    const replay = await shop.post('/orders', { amount: 1, fail: 402 }, key);
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
    expect(replay.text).not.toBe(stored.text);
  });

  it('R5 of two copies that race for an expired key one runs', async () => {
    for (const path of ['/orders', '/orders/pay']) {
      const key = randomUUID();
      await shop.post(path, { amount: 1 }, key);
      await age(shop, key, DAY_S);
      const { runs } = shop.watch;
      const held = once(shop.watch, 'held race');
      const body = { amount: 2, hold: 'race' };
      const racing = Array.from({ length: 8 }, () => shop.post(path, body, key));
      await held;
      let refused = 0;
      for (const reply of racing)
        void reply.then(({ status }) => (refused += Number(status === 409)));
      await eventually('the others are refused', () => refused === 7);
      shop.watch.release('race');
      const statuses = (await Promise.all(racing)).map(({ status }) => status);
      expect(statuses.filter((status) => status === 201)).toHaveLength(1);
      expect(shop.watch.runs).toBe(runs + 1);
    }
  });

  it('R5 the clock of this process decides nothing', async () => {
    const [fresh, old] = [randomUUID(), randomUUID()];
    await shop.post('/orders', { amount: 1 }, fresh);
    await shop.post('/lives/short', {}, old);
    await age(shop, old, 60);
    const real = Date.now;
    for (const hours of [48, -48]) {
      jest.spyOn(Date, 'now').mockImplementation(() => real() + hours * 3_600_000);
      expect(Date.now() - real()).toBeCloseTo(hours * 3_600_000, -4);
      const replay = await shop.post('/orders', { amount: 1 }, fresh);
      expect(replay.headers.get('idempotent-replayed')).toBe('true');
      const first = await shop.post('/lives/short', {}, old);
      expect(first.headers.get('idempotent-replayed')).toBeNull();
      const written = await rowOf(shop, old);
      expect(written?.life).toBe(60);
      expect(Math.abs(written?.age ?? Infinity)).toBeLessThan(DAY_S);
      await age(shop, old, 60);
      expect(await purge(shop)).toMatchObject({ removed: 1 });
      expect(await rowOf(shop, fresh)).toBeDefined();
    }
  });

  it('R11 the clock of this process takes over no key', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held wrong-clock');
    const body = { amount: 1, hold: 'wrong-clock' };
    const running = shop.post('/orders/pay', body, key);
    await held;
    const real = Date.now;
    jest.spyOn(Date, 'now').mockImplementation(() => real() + 48 * 3_600_000);
    expect((await shop.post('/orders/pay', body, key)).status).toBe(409);
    expect(await rowOf(shop, key)).toMatchObject({ attempt: 1 });
    shop.watch.release('wrong-clock');
    expect((await running).status).toBe(201);
  });

  it('R18 a key that was taken over lives its whole life from the finish', async () => {
    const key = randomUUID();
    shop.watch.remote = () => Promise.reject(new Error('no result'));
    expect((await shop.post('/orders/pay', { amount: 1 }, key)).status).toBe(503);
    await age(shop, key, 3 * DAY_S);
    expect(await purge(shop)).toMatchObject({ removed: 0 }); // unfinished: it never expires
    shop.watch.remote = () => Promise.resolve('approved');
    const done = await shop.post('/orders/pay', { amount: 1 }, key);
    expect(done.status).toBe(201);
    const finished = await rowOf(shop, key);
    expect(finished).toMatchObject({ attempt: 2, status: 201 });
    expect(finished?.age).toBeGreaterThan(3 * DAY_S - 1);
    expect(finished?.left).toBeGreaterThan(DAY_S / 2);
    expect((await shop.post('/orders/pay', { amount: 1 }, key)).text).toBe(done.text);
  });

  it('R18 a key that was not taken over lives from its claim', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held slow');
    const running = shop.post('/orders/pay', { amount: 1, hold: 'slow' }, key);
    await held;
    await shop.dataSource.query(
      `UPDATE idempotency_keys SET created_at = created_at - interval '1 hour',
         expires_at = expires_at - interval '1 hour' WHERE key = $1`,
      [key],
    );
    shop.watch.release('slow');
    expect((await running).status).toBe(201);
    expect(await rowOf(shop, key)).toMatchObject({ attempt: 1, life: DAY_S });
  });
});
