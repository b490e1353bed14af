/** The status of a key: what its account, and nobody else, is told of a request (R20). */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { KeyStatusService } from '../../src/idempotency';
import { age, DAY_S, openAgeingShop, removeRows } from './ageing.fixture';
import type { Shop } from './shop.fixture';

describe('the status of a key', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openAgeingShop();
  });
  afterAll(() => shop.close());
  beforeEach(() => removeRows(shop));

  it('R20 an expired key is unknown, and another one tells when it expires', async () => {
    const key = randomUUID();
    const keys = shop.app.get(KeyStatusService, { strict: false });
    const asker = (account: string) => ({ account, method: 'GET', url: '/', headers: {} });
    await shop.post('/orders', { amount: 1 }, key);
    const found = await keys.find(asker('a'), key);
    expect(found).toMatchObject({ state: 'finished', status: 201, operation: 'POST /orders' });
    expect(Number(found?.expiresAt) - Number(found?.createdAt)).toBe(DAY_S * 1_000);
    expect(await keys.find(asker('b'), key)).toBeUndefined();
    await age(shop, key, DAY_S);
    expect(await keys.find(asker('a'), key)).toBeUndefined();
  });

  it('R20 a request for the status of a key does not delay others', async () => {
    const keys = shop.app.get(KeyStatusService, { strict: false });
    const asker = { account: 'a', method: 'GET', url: '/', headers: {} };
    const done = new AbortController();
    const asking: string[] = [];
    const ask = async () => {
      while (!done.signal.aborted) await Promise.all(asking.map((key) => keys.find(asker, key)));
    };
    const askers = [ask(), ask()];
    for (let round = 0; round < 50; round += 1) {
      const key = randomUUID();
      asking[0] = key;
      await turn();
      expect((await shop.post('/orders', { amount: 1 }, key)).status).toBe(201);
    }
    done.abort();
    await Promise.all(askers);
    const unknown = randomUUID();
    const found = await Promise.all([1, 2, 3, 4].map(() => keys.find(asker, unknown)));
    expect(found).toEqual([undefined, undefined, undefined, undefined]);
  });

  it.each(['/orders', '/orders/pay'])('R20 %s is running while it runs', async (path) => {
    const key = randomUUID();
    const keys = shop.app.get(KeyStatusService, { strict: false });
    const asker = { account: 'a', method: 'GET', url: '/', headers: {} };
    const held = once(shop.watch, 'held asked');
    const running = shop.post(path, { amount: 1, hold: 'asked' }, key);
    await held;
    expect(await keys.find(asker, key)).toMatchObject({ state: 'running' });
    const stranger = { ...asker, account: 'b' };
    expect(await keys.find(stranger, key)).toBeUndefined();
    shop.watch.release('asked');
    await running;
    expect(await keys.find(asker, key)).toMatchObject({ state: 'finished', status: 201 });
  });
});
