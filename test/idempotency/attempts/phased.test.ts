/** Phased operations: local phases, remote phases, and handlers that use them wrongly. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Body, Controller, Post } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { Idempotent, Phases } from '../../../src/idempotency';
import { type Adapter, openShop, Order, type Shop, Watch } from '../shop.fixture';

/** Handlers that misuse phases. */
@Controller('odd')
class OddController {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly watch: Watch,
  ) {}

  @Post('outside')
  @Idempotent({ phased: true })
  async outside(@Phases() phases: Phases) {
    await phases.local('order', () => this.orders.save({ account: 'a', amount: 1 }));
    await this.orders.count();
    return {};
  }

  @Post('remote-first')
  @Idempotent({ phased: true })
  remoteFirst(@Phases() phases: Phases) {
    return phases.remote('charge', () => Promise.resolve(1));
  }

  @Post('without-finish')
  @Idempotent({ phased: true })
  async withoutFinish(@Phases() phases: Phases) {
    const order = await phases.local('order', () =>
      this.orders.save({ account: 'a', amount: 1, extra: new Date(0) }),
    );
    return { type: typeof (order as { extra: unknown }).extra };
  }

  @Post('finish-only')
  @Idempotent({ phased: true })
  finishOnly(@Phases() phases: Phases, @Body() body: { hold?: string }) {
    return phases.finish(async () => {
      this.watch.runs += 1;
      await this.orders.insert({ account: 'a', amount: 1 });
      await this.watch.hold(body.hold);
      return { done: true };
    });
  }

  @Post('late-throw')
  @Idempotent({ phased: true })
  async lateThrow(@Phases() phases: Phases, @Body() body: { status: number }) {
    await phases.local('order', () => this.orders.insert({ account: 'late', amount: 1 }));
    return phases.finish(async () => {
      await this.orders.update({ account: 'late' }, { account: 'undone' });
      throw Object.assign(new Error('late'), { status: body.status });
    });
  }
}

describe.each<Adapter>(['fastify', 'express'])('phased operations on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop(adapter, { controllers: [OddController] });
  });
  afterAll(() => shop.close());
  beforeEach(() => {
    shop.watch.remote = () => Promise.resolve('approved');
    shop.watch.remoteCalls = [];
    shop.watch.effects.clear();
  });
  const row = async (key: string) => {
    const rows = await shop.dataSource.query<Record<string, unknown>[]>(
      'SELECT * FROM idempotency_keys WHERE key = $1',
      [key],
    );
    return rows[0];
  };
  const expireLease = (key: string) =>
    shop.dataSource.query(
      "UPDATE idempotency_keys SET lease_until = now() - interval '1 second' WHERE key = $1",
      [key],
    );

  it('R10 runs its phases once and replays the response', async () => {
    const key = randomUUID();
    const first = await shop.post('/orders/pay', { amount: 9 }, key);
    const second = await shop.post('/orders/pay', { amount: 9 }, key);
    expect(first.json).toMatchObject({ outcome: 'approved' });
    expect(second.text).toBe(first.text);
    expect(shop.watch.remoteCalls).toHaveLength(1);
    expect(await row(key)).toMatchObject({ status: 201, phases: null, lease_until: null });
  });

  it('R10 the claim and the first phase are one commit, before anything goes out', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held out');
    const running = shop.post('/orders/pay', { amount: 9, hold: 'out' }, key);
    await held;
    const claimed = await row(key);
    expect(claimed).toMatchObject({ status: null, attempt: 1 });
    expect(claimed?.['phases']).toMatchObject({ order: { amount: 9 } });
    const [{ idle }] = (await shop.dataSource.query(
      "SELECT count(*)::int AS idle FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'",
    )) as [{ idle: number }];
    expect(idle).toBe(0);
    shop.watch.release('out');
    expect((await running).status).toBe(201);
  });

  it('R7 R8 while it runs a copy gets 409, and another request is refused', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held dup');
    const running = shop.post('/orders/pay', { amount: 9, hold: 'dup' }, key);
    await held;
    const copy = await shop.post('/orders/pay', { amount: 9, hold: 'dup' }, key);
    const other = await shop.post('/orders/pay', { amount: 8 }, key);
    shop.watch.release('dup');
    const done = await running;
    expect([copy.status, other.status, done.status]).toEqual([409, 422, 201]);
    expect(copy.headers.get('original-request')).toBe(done.headers.get('request-id'));
  });

  it('R12 an unknown outcome is a 503, stores nothing, and the retry repeats the same remote key', async () => {
    const key = randomUUID();
    shop.watch.remote = () => Promise.reject(new Error('connection lost'));
    const first = await shop.post('/orders/pay', { amount: 9 }, key);
    expect(first.status).toBe(503);
    expect(first.json['code']).toBe('idempotency_outcome_unknown');
    expect(first.headers.get('stripe-should-retry')).toBe('true');
    expect(first.headers.get('retry-after')).toBe('1');
    shop.watch.remote = () => Promise.resolve('approved');
    const { runs } = shop.watch;
    const second = await shop.post('/orders/pay', { amount: 9 }, key);
    expect(second.status).toBe(201);
    expect(second.headers.get('idempotent-replayed')).toBeNull();
    expect(second.headers.get('original-request')).toBe(first.headers.get('request-id'));
    expect(shop.watch.runs).toBe(runs + 1);
    const [before, after] = shop.watch.remoteCalls;
    expect(after).toBe(before);
    expect(await row(key)).toMatchObject({ attempt: 2, status: 201 });
    const orders = await shop.dataSource
      .getRepository(Order)
      .findBy({ id: Number(second.json['id']) });
    expect(orders).toHaveLength(1);
  });

  it('R12 a remote call without a result in time is unknown, and is aborted', async () => {
    const impatient = await openShop(adapter, { options: { remoteDeadlineMs: 500 } });
    let stopped: AbortSignal | undefined;
    impatient.watch.remote = (_key, signal) => {
      stopped = signal;
      return new Promise(() => undefined);
    };
    const reply = await impatient.post('/orders/pay', { amount: 9 }, randomUUID());
    expect(reply.json['code']).toBe('idempotency_outcome_unknown');
    expect(stopped?.aborted).toBe(true);
    await impatient.close();
  });

  it('R11 an owner that lost its lease is taken over, and its late writes change nothing', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held frozen');
    const body = { amount: 9, hold: 'frozen' };
    const frozen = shop.post('/orders/pay', body, key);
    await held;
    await expireLease(key);
    // No real lease is shorter than the time this process trusts a read: that is over, too.
    const now = performance.now.bind(performance);
    const later = jest.spyOn(performance, 'now').mockImplementation(() => now() + 1_000);
    const again = once(shop.watch, 'held frozen');
    const winner = shop.post('/orders/pay', body, key);
    await again;
    later.mockRestore();
    expect(await row(key)).toMatchObject({ attempt: 2, status: null });
    // Both are let go; the first that finishes must be the second attempt.
    shop.watch.release('frozen');
    const [late, won] = await Promise.all([frozen, winner]);
    expect(won.status).toBe(201);
    expect([won.text, undefined]).toContain(late.status === 201 ? late.text : undefined);
    if (late.status === 201) expect(late.headers.get('idempotent-replayed')).toBe('true');
    else expect(late.json['code']).toBe('idempotency_key_in_use');
    expect(new Set(shop.watch.remoteCalls).size).toBe(1);
    expect(shop.watch.effects.size).toBe(1);
  });

  it('R11 a valid lease is not taken over, whatever the age of the row', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held old');
    const running = shop.post('/orders/pay', { amount: 9, hold: 'old' }, key);
    await held;
    await shop.dataSource.query(
      "UPDATE idempotency_keys SET created_at = created_at - interval '2 days', expires_at = expires_at - interval '2 days' WHERE key = $1",
      [key],
    );
    const copy = await shop.post('/orders/pay', { amount: 9, hold: 'old' }, key);
    expect(copy.status).toBe(409);
    shop.watch.release('old');
    expect((await running).status).toBe(201);
  });

  it('R13 a decline that the last phase returns commits its writes and is replayed', async () => {
    const key = randomUUID();
    shop.watch.remote = () => Promise.resolve('declined');
    const first = await shop.post('/orders/pay', { amount: 9, fail: 402 }, key);
    const second = await shop.post('/orders/pay', { amount: 9, fail: 402 }, key);
    expect([first.status, second.status]).toEqual([402, 402]);
    expect(second.text).toBe(first.text);
    const order = await shop.dataSource
      .getRepository(Order)
      .findOneByOrFail({ id: Number(first.json['declined']) });
    expect(order.account).toBe('declined');
  });

  it('R10 database access outside of a phase is refused, in words, and the next attempt goes on', async () => {
    const reply = await shop.post('/odd/outside', {}, randomUUID());
    expect(reply.status).toBe(500);
  });

  it('R10 a remote phase needs a local one before it', async () => {
    const key = randomUUID();
    expect((await shop.post('/odd/remote-first', {}, key)).status).toBe(500);
    expect(await row(key)).toBeUndefined();
  });

  it('R10 a result is JSON on the first run too, and a handler may end without a last phase', async () => {
    const key = randomUUID();
    const first = await shop.post('/odd/without-finish', {}, key);
    expect(first.json).toEqual({ type: 'string' });
    expect((await shop.post('/odd/without-finish', {}, key)).text).toBe(first.text);
  });

  it('R10 a last phase alone is one commit, as an atomic operation is', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held only');
    const running = shop.post('/odd/finish-only', { hold: 'only' }, key);
    await held;
    expect(await row(key)).toBeUndefined();
    expect((await shop.post('/odd/finish-only', { hold: 'only' }, key)).status).toBe(409);
    shop.watch.release('only');
    expect((await running).json).toEqual({ done: true });
    expect(await row(key)).toMatchObject({ status: 201, attempt: 1 });
  });

  it('R14 an error of the last phase undoes that phase only, and the next attempt goes on from there', async () => {
    const key = randomUUID();
    const reply = await shop.post('/odd/late-throw', { status: 500 }, key);
    expect(reply.status).toBe(500);
    const count = (account: string) => shop.dataSource.getRepository(Order).countBy({ account });
    expect([await count('late'), await count('undone')]).toEqual([1, 0]);
    expect(await row(key)).toMatchObject({ status: null, attempt: 1 });
    await shop.post('/odd/late-throw', { status: 500 }, key);
    expect(await row(key)).toMatchObject({ status: null, attempt: 2 });
    expect(await count('late')).toBe(1);
    await shop.dataSource.query("DELETE FROM orders WHERE account = 'late'");
  });

  it('R2 without a key one is made and echoed, so that the request can be asked for', async () => {
    const reply = await shop.post('/orders/pay', { amount: 9 });
    const key = reply.headers.get('idempotency-key');
    expect(key).toMatch(/^server-made-/);
    const replay = await shop.post('/orders/pay', { amount: 9 }, key ?? '');
    expect(replay.text).toBe(reply.text);
  });
});
