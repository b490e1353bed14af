/** The database fails before, during and after the handler, and during its COMMIT. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Body, Controller, Post } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { DataSource, type Repository } from 'typeorm';
import { Idempotent, outsideTransaction } from '../../src/idempotency';
import { eventually } from '../support/eventually';
import { TcpProxy } from '../support/tcp-proxy';
import { type Adapter, openShop, Order, type Shop, type ShopOptions, Watch } from './shop.fixture';

/** Handlers that misuse the database, or see it fail. */
@Controller('risky')
class RiskyController {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly dataSource: DataSource,
    private readonly watch: Watch,
  ) {}

  /** Swallows the error of a statement: the transaction is aborted all the same. */
  @Post('swallows')
  @Idempotent()
  async swallows() {
    this.watch.runs += 1;
    await this.orders.insert({ account: 'swallowed', amount: 1 });
    await this.dataSource.query('SELECT 1 / 0').catch(() => undefined);
    return { done: true };
  }

  @Post('twice-the-same')
  @Idempotent()
  async twiceTheSame(@Body() body: { amount: number }) {
    this.watch.runs += 1;
    await this.dataSource.query('INSERT INTO serials (number) VALUES ($1)', [body.amount]);
    return { done: true };
  }

  @Post('deferred')
  @Idempotent()
  async deferred(@Body() body: { amount: number }) {
    this.watch.runs += 1;
    await this.dataSource.query('INSERT INTO deferreds (number) VALUES ($1)', [body.amount]);
    return { done: true };
  }

  /** Reads what another transaction writes meanwhile. */
  @Post('serializable')
  @Idempotent()
  async serializable(@Body() body: { hold?: string }) {
    this.watch.runs += 1;
    const [{ sum }] = await this.dataSource.query<[{ sum: number }]>(
      'SELECT coalesce(sum(number), 0)::int AS sum FROM serials',
    );
    await this.watch.hold(body.hold);
    await this.dataSource.query('INSERT INTO serials (number) VALUES ($1)', [1_000 + sum]);
    return { sum };
  }

  @Post('second-connection')
  @Idempotent()
  async secondConnection() {
    await this.orders.insert({ account: 'second', amount: 1 });
    await outsideTransaction(() => this.orders.insert({ account: 'second', amount: 2 }));
    return { done: true };
  }
}

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);

beforeAll(() => process.on('unhandledRejection', note));
afterAll(() => process.off('unhandledRejection', note));

interface Counts {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}

const poolOf = (shop: Shop) => (shop.dataSource.driver as unknown as { master: Counts }).master;
const urlOf = (shop: Shop) => (shop.dataSource.options as { url: string }).url;

describe.each<[Adapter, boolean]>([
  ['fastify', true],
  ['fastify', false],
  ['express', true],
])('a failing database on %s, pipelined: %s', (adapter, pipeline) => {
  /** Sees the database directly. */
  let witness: Shop;
  let proxy: TcpProxy;
  let shop: Shop;

  const open = (given: ShopOptions = {}) =>
    openShop(adapter, {
      databaseUrl: proxy.url,
      pipeline,
      poolSize: 4,
      controllers: [RiskyController],
      ...given,
    });

  beforeAll(async () => {
    witness = await openShop(adapter);
    await witness.dataSource.query('CREATE TABLE serials (number int PRIMARY KEY)');
    await witness.dataSource.query(
      'CREATE TABLE deferreds (number int UNIQUE DEFERRABLE INITIALLY DEFERRED)',
    );
    proxy = await TcpProxy.to(urlOf(witness));
    shop = await open();
  });
  afterAll(async () => {
    await shop.close();
    await proxy.close();
    await witness.close();
  });
  afterEach(async () => {
    proxy.heal();
    await eventually('no connection is lent out', () => {
      const { totalCount, idleCount, waitingCount } = poolOf(shop);
      return idleCount === totalCount && waitingCount === 0;
    });
    await eventually('no transaction is open', async () => (await openTransactions()) === 0);
    // The next test begins without connections that this one has broken, or is only about to break.
    proxy.cut();
    await eventually('the pool is empty', () => poolOf(shop).totalCount === 0);
    expect(unhandled.splice(0)).toEqual([]);
  });

  const number = async (sql: string, values: unknown[] = []) => {
    const [{ n }] = await witness.dataSource.query<[{ n: number }]>(sql, values);
    return n;
  };
  const openTransactions = () =>
    number(`SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE datname = current_database() AND state LIKE 'idle in transaction%'`);
  const keys = (key: string) =>
    number('SELECT count(*)::int AS n FROM idempotency_keys WHERE key = $1', [key]);
  const orders = () => number('SELECT count(*)::int AS n FROM orders');

  /** Expires the lease. */
  const endLease = (key: string) =>
    witness.dataSource.query(
      'UPDATE idempotency_keys SET lease_until = now() WHERE key = $1 AND status IS NULL',
      [key],
    );

  /** Ends the connection of the one transaction that is open, as an administrator would. */
  const killOwner = () =>
    number(`SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity
      WHERE datname = current_database() AND state = 'idle in transaction'`);

  const expectUnavailable = (reply: Awaited<ReturnType<Shop['post']>>) => {
    expect([reply.status, reply.json['code']]).toEqual([503, 'idempotency_store_unavailable']);
    expect(reply.headers.get('retry-after')).toBe('1');
    expect(reply.headers.get('stripe-should-retry')).toBe('true');
  };

  describe('before the handler', () => {
    it('that cannot be reached: 503 with Retry-After, and nothing runs', async () => {
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

    it('that takes the request and does not reply: 503', async () => {
      const key = randomUUID();
      await shop.post('/orders', { amount: 1 }, randomUUID()); // a connection that was good
      const { runs } = shop.watch;
      proxy.blackHole();
      expectUnavailable(await shop.post('/orders', { amount: 1 }, key));
      expect(shop.watch.runs).toBe(runs);
      proxy.heal();
      expect((await shop.post('/orders', { amount: 1 }, key)).status).toBe(201);
    });

    it('that does not reply: 503, also where the pool sets no bound', async () => {
      const patient = await open({ extra: { query_timeout: undefined } });
      try {
        expect((await patient.post('/orders', { amount: 1 }, randomUUID())).status).toBe(201);
        proxy.blackHole();
        expectUnavailable(await patient.post('/orders', { amount: 1 }, randomUUID()));
      } finally {
        proxy.heal();
        await patient.close();
      }
    });

    it('of which every connection in the pool is taken: 503', async () => {
      const busy = await open({ extra: { connectionTimeoutMillis: 2_000 } });
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

    it('that is slow: only takes longer', async () => {
      proxy.delayMs = 50;
      const reply = await shop.post('/orders', { amount: 1 }, randomUUID());
      proxy.delayMs = 0;
      expect(reply.status).toBe(201);
    });
  });

  describe('while the handler runs', () => {
    it('R9 a connection that is killed: 503, nothing is written, and the key is free', async () => {
      const key = randomUUID();
      const before = await orders();
      const held = once(shop.watch, 'held killed');
      const running = shop.post('/orders', { amount: 1, hold: 'killed' }, key);
      await held;
      expect(await killOwner()).toBe(1);
      await eventually('the client knows', () => poolOf(shop).totalCount < 4);
      shop.watch.release('killed');
      expectUnavailable(await running);
      expect([await orders(), await keys(key)]).toEqual([before, 0]);
      shop.watch.release('killed');
      const again = await shop.post('/orders', { amount: 1, hold: 'killed' }, key);
      expect(again.status).toBe(201);
      expect(again.headers.get('idempotent-replayed')).toBeNull();
      expect(await orders()).toBe(before + 1);
    });

    it('R9 a handler that writes on after its connection was killed writes nothing', async () => {
      const key = randomUUID();
      const before = await orders();
      const held = once(shop.watch, 'held writes-on');
      const running = shop.post('/orders/pay', { amount: 1, hold: 'writes-on' }, key);
      await held;
      proxy.cut();
      shop.watch.release('writes-on');
      // The claim and the order of the first phase are there; the rest goes on, or is retried.
      const first = await running;
      expect([201, 503]).toContain(first.status);
      await endLease(key);
      shop.watch.release('writes-on');
      const again = await shop.post('/orders/pay', { amount: 1, hold: 'writes-on' }, key);
      expect(again.status).toBe(201);
      expect(new Set(shop.watch.remoteCalls).size).toBe(1);
      expect(await orders()).toBe(before + 1);
      shop.watch.remoteCalls = [];
    });

    it('R9 a frozen owner loses its transaction by the database’s clock, and another may run', async () => {
      const frozenShop = await open({ options: { idleTransactionTimeoutMs: 2_000 } });
      try {
        const key = randomUUID();
        const before = await orders();
        const body = { amount: 1, hold: 'frozen' };
        const held = once(frozenShop.watch, 'held frozen');
        const frozen = frozenShop.post('/orders', body, key);
        await held;
        await eventually('its transaction ends', async () => (await openTransactions()) === 0);
        shop.watch.release('frozen');
        const other = await shop.post('/orders', body, key);
        expect(other.status).toBe(201);
        frozenShop.watch.release('frozen');
        expectUnavailable(await frozen);
        const replay = await frozenShop.post('/orders', body, key);
        expect(replay.text).toBe(other.text);
        expect(await orders()).toBe(before + 1);
      } finally {
        await frozenShop.close();
      }
    });

    it('R9 a second connection in a pool of one is an early error, not a deadlock', async () => {
      const small = await open({ poolSize: 1, extra: { connectionTimeoutMillis: 2_000 } });
      try {
        const key = randomUUID();
        const before = await orders();
        const reply = await small.post('/risky/second-connection', {}, key);
        expectUnavailable(reply);
        expect([await orders(), await keys(key)]).toEqual([before, 0]);
        expect((await small.post('/orders', { amount: 1 }, randomUUID())).status).toBe(201);
      } finally {
        await small.close();
      }
    });
  });

  describe('at the commit', () => {
    it('R21 a COMMIT that was executed, and whose reply was lost, is resolved: the one true response', async () => {
      const key = randomUUID();
      const [before, { runs }] = [await orders(), shop.watch];
      proxy.onNextCommit('lose its reply');
      const first = await shop.post('/orders', { amount: 1 }, key);
      expect(proxy.commitSeen).toBe(true);
      expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([201, null]);
      expect(first.headers.get('stripe-should-retry')).toBe('false');
      const replay = await shop.post('/orders', { amount: 1 }, key);
      expect(replay.text).toBe(first.text);
      expect(replay.headers.get('idempotent-replayed')).toBe('true');
      expect([await orders(), shop.watch.runs]).toEqual([before + 1, runs + 1]);
    });

    it('R21 a COMMIT that never reached the server did nothing: 503, and the retry runs once', async () => {
      const key = randomUUID();
      const [before, { runs }] = [await orders(), shop.watch];
      proxy.onNextCommit('lose');
      expectUnavailable(await shop.post('/orders', { amount: 1 }, key));
      expect(proxy.commitSeen).toBe(true);
      expect([await orders(), await keys(key)]).toEqual([before, 0]);
      const again = await shop.post('/orders', { amount: 1 }, key);
      expect(again.status).toBe(201);
      expect([await orders(), shop.watch.runs]).toEqual([before + 1, runs + 2]);
    });

    it('R21 a late COMMIT is waited for: nothing stored yet does not mean that nothing was done', async () => {
      const key = randomUUID();
      const [before, { runs }] = [await orders(), shop.watch];
      proxy.onNextCommit('deliver late');
      const first = await shop.post('/orders', { amount: 1 }, key);
      expect(proxy.commitSeen).toBe(true);
      expect(first.status).toBe(201);
      const replay = await shop.post('/orders', { amount: 1 }, key);
      expect([replay.text, replay.headers.get('idempotent-replayed')]).toEqual([
        first.text,
        'true',
      ]);
      expect([await orders(), shop.watch.runs]).toEqual([before + 1, runs + 1]);
    });

    it('R21 an outcome that cannot be resolved in time is reported as unknown, and the key tells it later', async () => {
      const key = randomUUID();
      const before = await orders();
      const impatient = await open({
        extra: { query_timeout: 2_000, connectionTimeoutMillis: 2_000 },
      });
      try {
        proxy.onNextCommit('black hole');
        const first = await impatient.post('/orders', { amount: 1 }, key);
        expect([first.status, first.json['code']]).toEqual([503, 'idempotency_outcome_unknown']);
        expect(first.headers.get('retry-after')).toBe('1');
        expect(first.headers.get('stripe-should-retry')).toBe('true');
        proxy.heal();
        const later = await impatient.post('/orders', { amount: 1 }, key);
        expect([later.status, later.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
        expect([await orders(), impatient.watch.runs]).toEqual([before + 1, 1]);
      } finally {
        proxy.heal();
        await impatient.close();
      }
    });

    it('R21 the lost reply to a decline’s COMMIT does not turn it into a second run’s', async () => {
      const key = randomUUID();
      const before = await orders();
      const body = { amount: 1, fail: 402 };
      proxy.onNextCommit('lose its reply');
      const replies = [await shop.post('/orders', body, key)];
      proxy.heal();
      replies.push(await shop.post('/orders', body, key), await shop.post('/orders', body, key));
      expect(replies.map(({ status }) => status)).toEqual([402, 402, 402]);
      expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
      expect(await orders()).toBe(before);
    });

    it('R21 the lost reply to the COMMIT of a claim never runs the remote call under another key', async () => {
      const key = randomUUID();
      const before = await orders();
      shop.watch.remoteCalls = [];
      for (const outcome of ['lose its reply', 'lose'] as const) {
        proxy.onNextCommit(outcome);
        const reply = await shop.post('/orders/pay', { amount: 1 }, key);
        expect([reply.status, reply.json['code']]).toEqual([503, 'idempotency_outcome_unknown']);
        expect(proxy.commitSeen).toBe(true);
        await endLease(key);
      }
      const last = await shop.post('/orders/pay', { amount: 1 }, key);
      expect(last.status).toBe(201);
      expect(new Set(shop.watch.remoteCalls).size).toBe(1);
      expect(await orders()).toBe(before + 1);
      shop.watch.remoteCalls = [];
    });

    it('R21 a handler that swallowed a failed statement gets a 500, and nothing is stored', async () => {
      const key = randomUUID();
      const before = await orders();
      const { runs } = shop.watch;
      const reply = await shop.post('/risky/swallows', {}, key);
      expect([reply.status, reply.json['code']]).toEqual([500, 'idempotency_commit_failed']);
      expect([await orders(), await keys(key)]).toEqual([before, 0]);
      await shop.post('/risky/swallows', {}, key);
      expect(shop.watch.runs).toBe(runs + 2);
      const keyless = await shop.post('/risky/swallows', {});
      expect(keyless.status).toBe(500);
    });

    it('R14 a constraint that the handler violates is a 500 of its own, and is not stored', async () => {
      const key = randomUUID();
      await shop.post('/risky/twice-the-same', { amount: 5 }, randomUUID());
      expect((await shop.post('/risky/twice-the-same', { amount: 5 }, key)).status).toBe(500);
      expect(await keys(key)).toBe(0);
    });

    it('R14 a deferred constraint that fails in COMMIT is a 500, and is not stored', async () => {
      const key = randomUUID();
      await shop.post('/risky/deferred', { amount: 5 }, randomUUID());
      const reply = await shop.post('/risky/deferred', { amount: 5 }, key);
      expect([reply.status, reply.json['code']]).toEqual([500, 'idempotency_commit_failed']);
      expect(await keys(key)).toBe(0);
      await witness.dataSource.query('DELETE FROM deferreds');
      expect((await shop.post('/risky/deferred', { amount: 5 }, key)).status).toBe(201);
    });

    it('R14 a serialization failure is 503, and the retry succeeds', async () => {
      const strict = await open({
        extra: { options: '-c default_transaction_isolation=serializable' },
      });
      try {
        const names = ['s1', 's2'];
        const bothHeld = names.map((name) => once(strict.watch, `held ${name}`));
        const both = names.map(async (hold) => {
          const key = randomUUID();
          return { hold, key, reply: await strict.post('/risky/serializable', { hold }, key) };
        });
        await Promise.all(bothHeld);
        for (const name of names) strict.watch.release(name);
        const done = await Promise.all(both);
        expect(new Set(done.map(({ reply }) => reply.status))).toEqual(new Set([201, 503]));
        const failed = done.find(({ reply }) => reply.status === 503);
        if (!failed) throw new Error('one of them failed');
        expectUnavailable(failed.reply);
        strict.watch.release(failed.hold);
        const { hold, key } = failed;
        expect((await strict.post('/risky/serializable', { hold }, key)).status).toBe(201);
      } finally {
        await strict.close();
      }
    });
  });
});
