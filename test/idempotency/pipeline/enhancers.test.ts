/** Guards, pipes, filters and interceptors around a decorated handler (R9, R13, R14). */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { eventually } from '../../support/eventually';
import type { Adapter, Shop } from '../shop.fixture';
import {
  countKeys,
  countOrders,
  noConnectionIsLentOut,
  noTransactionIsOpen,
  poolOf,
} from '../shop-database.fixture';
import { Client } from './client.fixture';
import { EnhancedController } from './enhanced-handlers.fixture';
import { openEnhancedShop } from './enhanced-shop.fixture';
import {
  DomainFilter,
  OuterInterceptor,
  RefusingInterceptor,
  RevocationGuard,
} from './enhancers.fixture';
import { SlowController } from './slow-handlers.fixture';

describe.each<Adapter>(['fastify', 'express'])('enhancers on %s', (adapter) => {
  let shop: Shop;
  let client: Client;
  beforeAll(async () => {
    shop = await openEnhancedShop(adapter, { controllers: [EnhancedController, SlowController] });
    client = new Client(shop);
  });
  afterAll(() => shop.close());
  beforeEach(() => {
    RefusingInterceptor.refuseWith = 0;
    RevocationGuard.revoked.clear();
  });
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  it('R14 a validation failure is not stored: the key is free for the corrected request', async () => {
    const key = randomUUID();
    const wrong = await client.send('/enhanced/validated', key, { body: { amount: 'much' } });
    expect(wrong.status).toBe(400);
    expect(await countKeys(shop, key)).toBe(0);
    const right = await client.send('/enhanced/validated', key, { body: { amount: 1 } });
    expect(right.status).toBe(201);
  });

  it('R14 what a guard refuses is not stored, and a revoked account replays nothing', async () => {
    const key = randomUUID();
    RevocationGuard.revoked.add('a');
    expect((await client.send('/enhanced/guarded', key)).status).toBe(401);
    expect(await countKeys(shop, key)).toBe(0);
    RevocationGuard.revoked.clear();
    expect((await client.send('/enhanced/guarded', key)).status).toBe(201);
    RevocationGuard.revoked.add('a');
    const revoked = await client.send('/enhanced/guarded', key);
    expect(revoked.status).toBe(401);
    expect(revoked.text).not.toContain('order');
    expect(revoked.headers.get('idempotent-replayed')).toBeNull();
    const stranger = await fetch(`${shop.url}/enhanced/guarded`, {
      method: 'POST',
      headers: { 'idempotency-key': key },
    });
    expect(stranger.status).toBe(401);
  });

  it('R13 R15 a domain error that a filter maps to 402 is stored as the filter wrote it', async () => {
    const before = await countOrders(shop);
    const [first] = await client.sendTwice('/enhanced/domain/stock');
    expect(first.status).toBe(402);
    expect(JSON.parse(first.text)).toEqual({
      problem: 'none left',
      mapped: DomainFilter.mapped,
    });
    expect(await countOrders(shop)).toBe(before);
  });

  it('R14 a domain error that a filter maps to 500 is sent as it wrote it, and not stored', async () => {
    const first = await client.sendAndFindTheKeyFree('/enhanced/domain/broken');
    expect(first.status).toBe(500);
    expect(JSON.parse(first.text)).toMatchObject({ problem: 'fell over' });
    expect(first.headers.get('stripe-should-retry')).toBe('true');
  });

  it.each([
    ['inner', '/enhanced/refused-above', 403],
    ['inner', '/enhanced/refused-above', 429],
    ['outer', '/enhanced/refused-below', 403],
  ])(
    'R14 what an %s interceptor (%s) refuses with %d is not stored',
    async (side, path, status) => {
      const key = randomUUID();
      RefusingInterceptor.refuseWith = status;
      const refused = await client.send(path, key);
      expect(refused.status).toBe(status);
      // Outside of the decorator a request is refused before its key is read.
      expect(refused.headers.get('idempotency-key')).toBe(side === 'inner' ? key : null);
      expect(await countKeys(shop, key)).toBe(0);
      RefusingInterceptor.refuseWith = 0;
      const done = await client.send(path, key);
      expect([done.status, JSON.parse(done.text)]).toMatchObject([201, { passed: true }]);
      expect((await client.send(path, key)).text).toBe(done.text);
    },
  );

  it('R14 when an outer interceptor’s time is up the handler’s writes are undone, late ones refused', async () => {
    const key = randomUUID();
    const before = await countOrders(shop);
    const held = once(shop.watch, 'held slow');
    const sending = { body: { hold: 'slow' }, headers: { 'x-outer': 'timeout' } };
    const running = client.send('/slow/held', key, sending);
    await held;
    OuterInterceptor.clock.emit('time is up');
    expect((await running).status).toBe(408);
    await noTransactionIsOpen(shop);
    shop.watch.release('slow'); // the handler goes on to write, in a transaction that is gone
    shop.watch.release('slow');
    const again = await client.send('/slow/held', key, { body: { hold: 'slow' } });
    expect(again.status).toBe(201);
    expect(again.headers.get('idempotent-replayed')).toBeNull();
    expect(await countOrders(shop)).toBe(before + 2);
  });

  it('R9 when an outer interceptor’s time is up before the key is read, no connection is left behind', async () => {
    const runners = Array.from({ length: 4 }, () => shop.dataSource.createQueryRunner());
    await Promise.all(runners.map((runner) => runner.connect() as Promise<unknown>));
    const key = randomUUID();
    const sent = client.send('/slow/held', key, { headers: { 'x-outer': 'timeout' } });
    await eventually('it waits for a connection', () => poolOf(shop).waitingCount === 1);
    OuterInterceptor.clock.emit('time is up');
    expect((await sent).status).toBe(408);
    await Promise.all(runners.map((runner) => runner.release()));
    await eventually('the pool is whole', () => poolOf(shop).idleCount === poolOf(shop).totalCount);
    expect((await client.send('/slow/held', key)).status).toBe(201);
  });

  it.each(['broken', 'stock'])(
    'R13a an outer interceptor that turns an error (%s) into a success: undone, and 503',
    async (error) => {
      const key = randomUUID();
      const before = await countOrders(shop);
      const sending = { headers: { 'x-outer': 'fallback' } };
      const first = await client.send(`/enhanced/domain/${error}`, key, sending);
      expect([first.status, first.headers.get('stripe-should-retry')]).toEqual([503, 'true']);
      expect([await countOrders(shop), await countKeys(shop, key)]).toEqual([before, 0]);
    },
  );

  it('R9 an outer interceptor that tries again leaves no transaction of the first try open', async () => {
    const key = randomUUID();
    const { runs } = shop.watch;
    const sent = await client.send('/enhanced/domain/stock', key, {
      headers: { 'x-outer': 'retry' },
    });
    expect(sent.status).toBe(402);
    expect(shop.watch.runs).toBe(runs + 2);
    const replay = await client.send('/enhanced/domain/stock', key);
    expect(replay.text).toBe(sent.text);
  });
});
