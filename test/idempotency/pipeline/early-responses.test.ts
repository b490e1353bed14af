/** A response that goes out before the handler has ended is the end of its attempt (R14a). */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { eventually } from '../../support/eventually';
import { type Adapter, openShop, type Shop } from '../shop.fixture';
import {
  countKeys,
  countOrders,
  noConnectionIsLentOut,
  noTransactionIsOpen,
  numberFrom,
} from '../shop-database.fixture';
import { Client } from './client.fixture';
import { EarlyController, EarlyInterceptor } from './early-responses.fixture';

const POOL_SIZE = 4;

describe.each<Adapter>(['fastify', 'express'])('an early response on %s', (adapter) => {
  let shop: Shop;
  let client: Client;
  beforeAll(async () => {
    shop = await openShop(adapter, {
      controllers: [EarlyController],
      poolSize: POOL_SIZE,
      providers: [{ provide: APP_INTERCEPTOR, useClass: EarlyInterceptor }],
    });
    client = new Client(shop);
  });
  afterAll(() => shop.close());
  beforeEach(() => {
    shop.watch.runs = 0;
    shop.watch.remoteCalls = [];
  });
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  const countLate = () =>
    numberFrom(shop, "SELECT count(*)::int AS n FROM orders WHERE account IN ('late', 'finished')");
  /** Sends a request whose handler holds, has it answered early, and lets the handler go on. */
  const sendEarly = async (early: string, path: string, key: string, body: object = {}) => {
    const held = once(shop.watch, `held ${key}`);
    const headers = { 'x-early': early };
    const sent = client.send(path, key, { body: { ...body, hold: key }, headers });
    await held;
    EarlyInterceptor.clock.emit('time is up');
    return sent;
  };
  const retry = (path: string, key: string, body: object = {}) => {
    shop.watch.release(key);
    return client.send(path, key, { body: { ...body, hold: key } });
  };

  const EARLY: [string, number][] = [
    ['unsubscribes', 408],
    ['RxJS timeout', 408],
    ['Promise.race', 408],
    ['success', 201],
    ['past the framework', 504],
  ];

  it.each(EARLY)(
    'R14a atomic (%s): what it did is undone, later statements are refused, and the key is free',
    async (early, status) => {
      const key = randomUUID();
      const [before, late] = [await countOrders(shop), await countLate()];
      const sent = await sendEarly(early, '/early/atomic', key);
      expect(sent.status).toBe(status);
      expect(sent.headers.get('stripe-should-retry')).not.toBe('false');
      await noTransactionIsOpen(shop);
      await noConnectionIsLentOut(shop);
      const refused = once(shop.watch, 'refused');
      shop.watch.release(key);
      expect(String(await refused)).toContain('refused');
      expect([await countOrders(shop), await countLate(), await countKeys(shop, key)]).toEqual([
        before,
        late,
        0,
      ]);
      const again = await retry('/early/atomic', key);
      expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, null]);
      expect(await countOrders(shop)).toBe(before + 2);
    },
  );

  describe.each(['first', 'remote', 'finish'])('phased, in %s', (phase) => {
    it.each(EARLY)(
      'R14a (%s): later phases are refused, and the retry goes on from the recovery point',
      async (early, status) => {
        const key = randomUUID();
        const [before, late] = [await countOrders(shop), await countLate()];
        const body = { in: phase };
        const sent = await sendEarly(early, '/early/phased', key, body);
        expect(sent.status).toBe(status);
        await noTransactionIsOpen(shop);
        await noConnectionIsLentOut(shop);
        const refused = once(shop.watch, 'refused');
        shop.watch.release(key);
        await refused;
        await noTransactionIsOpen(shop);
        const claimed = phase === 'first' ? 0 : 1;
        expect([await countOrders(shop), await countLate(), await countKeys(shop, key)]).toEqual([
          before + claimed,
          late,
          claimed,
        ]);
        await shop.dataSource.query(
          'UPDATE idempotency_keys SET lease_until = now() WHERE key = $1 AND status IS NULL',
          [key],
        );
        const again = await retry('/early/phased', key, body);
        expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, null]);
        expect(new Set(shop.watch.remoteCalls).size).toBe(1);
        expect([await countOrders(shop), await countLate()]).toEqual([before + 2, late + 2]);
      },
    );
  });

  it.each(['/early/atomic', '/early/phased'])(
    'R14a as many of them as the pool has connections leave it usable (%s)',
    async (path) => {
      for (const phase of ['first', 'remote', 'finish']) {
        const keys = Array.from({ length: POOL_SIZE }, () => randomUUID());
        const held = keys.map((key) => once(shop.watch, `held ${key}`));
        const headers = { 'x-early': 'Promise.race' };
        const sending = keys.map((hold) =>
          client.send(path, hold, { body: { in: phase, hold }, headers }),
        );
        await Promise.all(held);
        EarlyInterceptor.clock.emit('time is up');
        const sent = await Promise.all(sending);
        expect(sent.map(({ status }) => status)).toEqual(keys.map(() => 408));
        expect((await shop.post('/orders', { amount: 1 }, randomUUID())).status).toBe(201);
        for (const key of keys) {
          const refused = once(shop.watch, 'refused');
          shop.watch.release(key);
          await refused;
        }
      }
    },
  );

  it.each(['unsubscribes', 'Promise.race'])(
    'R14a a response does not wait for a statement that is under way (%s)',
    async (early) => {
      const key = randomUUID();
      const sent = await sendEarly(early, '/early/atomic', key, { sleep: true });
      expect(sent.status).toBe(408);
      await noConnectionIsLentOut(shop);
      // PostgreSQL sees that the connection is gone when the statement is over; an administrator need not wait.
      await shop.dataSource.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%'`,
      );
    },
  );

  it('R14a an interceptor that takes the first value alone responds with the handler: committed and stored', async () => {
    const before = await countOrders(shop);
    const headers = { 'x-early': 'first value' };
    const [first] = await client.sendTwice('/early/atomic', { headers });
    expect(first.status).toBe(201);
    expect(await countOrders(shop)).toBe(before + 2);
  });

  it('R14a a client that leaves ends nothing: the response is stored for the retry', async () => {
    const key = randomUUID();
    const before = await countOrders(shop);
    const held = once(shop.watch, `held ${key}`);
    const body = { hold: key };
    const leaving = client.sendToLeave('/early/atomic', key, { body });
    await held;
    const closed = once(EarlyInterceptor.clock, `closed ${key}`);
    leaving.destroy();
    await closed;
    shop.watch.release(key);
    await eventually('the response is stored', async () => (await countKeys(shop, key)) === 1);
    const again = await client.send('/early/atomic', key, { body });
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
    expect(await countOrders(shop)).toBe(before + 2);
  });
});
