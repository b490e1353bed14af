/** The database fails before the handler and while it runs (R9). */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { eventually } from '../../support/eventually';
import type { TcpProxy } from '../../support/tcp-proxy';
import type { Shop } from '../shop.fixture';
import { countKeys, countOrders, noTransactionIsOpen, poolOf } from '../shop-database.fixture';
import { endLease, expectUnavailable, FailingDatabase, SETTINGS } from './failing-database.fixture';
import { RiskyController } from './risky-handlers.fixture';

describe.each(SETTINGS)('a database that fails on %s, pipelined: %s', (...setting) => {
  let database: FailingDatabase;
  let witness: Shop;
  let proxy: TcpProxy;
  let shop: Shop;
  beforeAll(async () => {
    database = await FailingDatabase.start(setting, { controllers: [RiskyController] });
    ({ witness, proxy, shop } = database);
  });
  afterEach(() => database.recover());
  afterAll(() => database.stop());

  describe('before the handler', () => {
    it('a database that cannot be reached is a 503 with Retry-After, and nothing runs', async () => {
      const { runs } = shop.watch;
      const key = randomUUID();
      proxy.refusing = true;
      proxy.cut();
      expectUnavailable(await shop.post('/orders', { amount: 1 }, key));
      expectUnavailable(await shop.post('/orders', { amount: 1 }));
      expect(shop.watch.runs).toBe(runs);
      proxy.heal();
      expect((await shop.post('/orders', { amount: 1 }, key)).status).toBe(201);
    });

    it('a database that takes the request and does not reply is a 503', async () => {
      const key = randomUUID();
      await shop.post('/orders', { amount: 1 }, randomUUID()); // a connection that was good
      const { runs } = shop.watch;
      proxy.blackHole();
      expectUnavailable(await shop.post('/orders', { amount: 1 }, key));
      expect(shop.watch.runs).toBe(runs);
      proxy.heal();
      expect((await shop.post('/orders', { amount: 1 }, key)).status).toBe(201);
    });

    it('a database that does not reply is a 503, also where the pool sets no bound', async () => {
      const patient = await database.open({ extra: { query_timeout: undefined } });
      try {
        expect((await patient.post('/orders', { amount: 1 }, randomUUID())).status).toBe(201);
        proxy.blackHole();
        expectUnavailable(await patient.post('/orders', { amount: 1 }, randomUUID()));
      } finally {
        proxy.heal();
        await patient.close();
      }
    });

    it('a pool of which every connection is taken is a 503', async () => {
      const busy = await database.open({ extra: { connectionTimeoutMillis: 2_000 } });
      try {
        const runners = Array.from({ length: 4 }, () => busy.dataSource.createQueryRunner());
        await Promise.all(runners.map((runner) => runner.connect() as Promise<unknown>));
        const key = randomUUID();
        expectUnavailable(await busy.post('/orders', { amount: 1 }, key));
        expect(busy.watch.runs).toBe(0);
        await Promise.all(runners.map((runner) => runner.release()));
        expect((await busy.post('/orders', { amount: 1 }, key)).status).toBe(201);
      } finally {
        await busy.close();
      }
    });

    it('a database that is slow takes longer, and no more than that', async () => {
      proxy.delayMs = 50;
      const reply = await shop.post('/orders', { amount: 1 }, randomUUID());
      proxy.delayMs = 0;
      expect(reply.status).toBe(201);
    });
  });

  describe('while the handler runs', () => {
    it('R9 a connection that is killed: 503, nothing is written, and the key is free', async () => {
      const key = randomUUID();
      const before = await countOrders(witness);
      const held = once(shop.watch, 'held killed');
      const running = shop.post('/orders', { amount: 1, hold: 'killed' }, key);
      await held;
      expect(await database.killOwner()).toBe(1);
      await eventually('the client knows', () => poolOf(shop).totalCount < 4);
      shop.watch.release('killed');
      expectUnavailable(await running);
      expect([await countOrders(witness), await countKeys(witness, key)]).toEqual([before, 0]);
      shop.watch.release('killed');
      const again = await shop.post('/orders', { amount: 1, hold: 'killed' }, key);
      expect(again.status).toBe(201);
      expect(again.headers.get('idempotent-replayed')).toBeNull();
      expect(await countOrders(witness)).toBe(before + 1);
    });

    it('R9 a handler that writes on after its connection was killed writes nothing', async () => {
      const key = randomUUID();
      const before = await countOrders(witness);
      const held = once(shop.watch, 'held writes-on');
      const running = shop.post('/orders/pay', { amount: 1, hold: 'writes-on' }, key);
      await held;
      proxy.cut();
      shop.watch.release('writes-on');
      // The claim and the order of the first phase are there; the rest goes on, or is retried.
      const first = await running;
      expect([201, 503]).toContain(first.status);
      await endLease(witness, key);
      shop.watch.release('writes-on');
      const again = await shop.post('/orders/pay', { amount: 1, hold: 'writes-on' }, key);
      expect(again.status).toBe(201);
      expect(new Set(shop.watch.remoteCalls).size).toBe(1);
      expect(await countOrders(witness)).toBe(before + 1);
      shop.watch.remoteCalls = [];
    });

    it('R9 a frozen owner loses its transaction by the database’s clock, and another may run', async () => {
      const frozenShop = await database.open({ options: { idleTransactionTimeoutMs: 2_000 } });
      try {
        const key = randomUUID();
        const before = await countOrders(witness);
        const body = { amount: 1, hold: 'frozen' };
        const held = once(frozenShop.watch, 'held frozen');
        const frozen = frozenShop.post('/orders', body, key);
        await held;
        await noTransactionIsOpen(witness);
        shop.watch.release('frozen');
        const other = await shop.post('/orders', body, key);
        expect(other.status).toBe(201);
        frozenShop.watch.release('frozen');
        expectUnavailable(await frozen);
        const replay = await frozenShop.post('/orders', body, key);
        expect(replay.text).toBe(other.text);
        expect(await countOrders(witness)).toBe(before + 1);
      } finally {
        await frozenShop.close();
      }
    });

    it('R9 a second connection in a pool of one is an early error, not a deadlock', async () => {
      const small = await database.open({ poolSize: 1, extra: { connectionTimeoutMillis: 2_000 } });
      try {
        const key = randomUUID();
        const before = await countOrders(witness);
        const reply = await small.post('/risky/second-connection', {}, key);
        expectUnavailable(reply);
        expect([await countOrders(witness), await countKeys(witness, key)]).toEqual([before, 0]);
        expect((await small.post('/orders', { amount: 1 }, randomUUID())).status).toBe(201);
      } finally {
        await small.close();
      }
    });
  });
});
