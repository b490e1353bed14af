/** Clients that leave before they have the response (R9). */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { eventually } from '../../support/eventually';
import type { Adapter, Shop } from '../shop.fixture';
import {
  countKeys,
  countOpenTransactions,
  countOrders,
  noConnectionIsLentOut,
  noTransactionIsOpen,
} from '../shop-database.fixture';
import { Client } from './client.fixture';
import { openEnhancedShop } from './enhanced-shop.fixture';
import { OuterInterceptor } from './enhancers.fixture';
import { SlowController } from './slow-handlers.fixture';

describe.each<Adapter>(['fastify', 'express'])('a client that leaves, on %s', (adapter) => {
  let shop: Shop;
  let client: Client;
  beforeAll(async () => {
    shop = await openEnhancedShop(adapter, { controllers: [SlowController] });
    client = new Client(shop);
  });
  afterAll(() => shop.close());
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  it('R9 mid-handler: the work is committed and the response waits for the retry', async () => {
    const key = randomUUID();
    const before = await countOrders(shop);
    const held = once(shop.watch, 'held left');
    const request = client.sendToLeave('/slow/held', key, { body: { hold: 'left' } });
    await held;
    request.destroy();
    shop.watch.release('left');
    await eventually('the response is stored', async () => (await countKeys(shop, key)) === 1);
    const again = await client.send('/slow/held', key, { body: { hold: 'left' } });
    expect(again.status).toBe(201);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(await countOrders(shop)).toBe(before + 2);
  });

  it.each(['observable', 'never'])(
    'R9 while the handler’s observable (%s) runs: nothing is written and the key is free at once',
    async (path) => {
      const key = randomUUID();
      const before = await countOrders(shop);
      const held = once(shop.watch, `held ${path}`);
      const request = client.sendToLeave(`/slow/${path}`, key);
      await held;
      expect(await countOpenTransactions(shop)).toBe(1);
      request.destroy();
      await noTransactionIsOpen(shop);
      expect(await countKeys(shop, key)).toBe(0);
      shop.watch.release(path);
      expect(await countOrders(shop)).toBe(before);
      if (path === 'never') return;
      shop.watch.release(path);
      expect((await client.send(`/slow/${path}`, key)).status).toBe(201);
    },
  );

  it('R9 between the handler’s observable and a late outer interceptor: no transaction stays open', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held observable');
    const request = client.sendToLeave('/slow/observable', key, { headers: { 'x-outer': 'late' } });
    await held;
    shop.watch.release('observable');
    request.destroy();
    await noTransactionIsOpen(shop);
    OuterInterceptor.clock.emit('late');
  });
});
