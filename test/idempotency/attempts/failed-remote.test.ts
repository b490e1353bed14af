/** A remote phase that failed, and handlers that go on all the same (R12a). */
import { randomUUID } from 'node:crypto';
import { Body, ConflictException, Controller, Post } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { Idempotent, Phases } from '../../../src/idempotency';
import { type Adapter, openShop, Order, type Reply, type Shop, Watch } from '../shop.fixture';
import { noConnectionIsLentOut, noTransactionIsOpen } from '../shop-database.fixture';

/** What a handler does once it has caught the error of its remote phase. */
type Then = 'finish' | 'local' | 'remote' | 'return' | 'throw' | 'try again';

@Controller('careless')
class CarelessController {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly watch: Watch,
  ) {}

  @Post('swallows')
  @Idempotent({ phased: true })
  async swallows(@Phases() phases: Phases, @Body() { next }: { next: Then }) {
    const { id } = await phases.local('order', () => this.orders.save({ account: 'c', amount: 1 }));
    const charge = () => phases.remote('charge', this.call);
    let outcome = await charge().catch(() => 'failed');
    if (outcome === 'failed') {
      if (next === 'return') return { outcome };
      if (next === 'throw') throw new ConflictException('the charge failed');
      if (next === 'try again') outcome = await charge();
      if (next === 'remote') await phases.remote('refund', this.call).catch(() => undefined);
      if (next === 'local') {
        await phases.local('note', () => this.orders.update(id, { amount: 2 })).catch(() => 0);
      }
    }
    return phases.finish(async () => {
      await this.orders.update(id, { account: 'finished' });
      return { id, outcome };
    });
  }

  @Post('can-do-without')
  @Idempotent({ phased: true })
  async canDoWithout(@Phases() phases: Phases, @Body() body: { local?: boolean; fail?: boolean }) {
    const { id } = await phases.local('order', () => this.orders.save({ account: 'm', amount: 1 }));
    const label = await phases.remote('label', this.call, { mayFail: true });
    const seen = label === undefined ? 'nothing' : JSON.stringify(label);
    if (body.local) {
      await phases.local('note', () => this.orders.update(id, { account: seen }));
      await phases.remote('charge', this.call);
    }
    return phases.finish(() => Promise.resolve({ id, seen }));
  }

  @Post('without-result')
  @Idempotent({ phased: true })
  async withoutResult(@Phases() phases: Phases) {
    const result: unknown = await phases.local('count', async () => {
      this.watch.runs += 1;
    });
    await phases.remote('charge', this.call);
    return phases.finish(() => Promise.resolve({ type: typeof result }));
  }

  private readonly call = (key: string, signal: AbortSignal) => {
    this.watch.remoteCalls.push(key);
    return this.watch.remote(key, signal);
  };
}

describe.each<Adapter>(['fastify', 'express'])('a remote phase that failed, on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop(adapter, { controllers: [CarelessController], poolSize: 4 });
  });
  afterAll(() => shop.close());
  beforeEach(() => {
    shop.watch.remoteCalls = [];
    shop.watch.runs = 0;
  });
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });
  /** The next calls end so: with this result, or with an Error. */
  const remoteReturns = (...results: (string | Error)[]) => {
    shop.watch.remote = () => {
      const result = results.length > 1 ? results.shift() : results[0];
      return result instanceof Error ? Promise.reject(result) : Promise.resolve(result);
    };
  };
  const orderOf = async ({ json: { id } }: Reply) =>
    shop.dataSource.getRepository(Order).findOneByOrFail({ id: Number(id) });

  it.each<Then>(['finish', 'local', 'remote', 'return', 'throw', 'try again'])(
    'R12a a handler that catches its error, to %s: 503, and the retry repeats the same remote key',
    async (next) => {
      const key = randomUUID();
      remoteReturns(new Error('connection lost'));
      const first = await shop.post('/careless/swallows', { next }, key);
      expect([first.status, first.json['code']]).toEqual([503, 'idempotency_outcome_unknown']);
      expect(first.headers.get('stripe-should-retry')).toBe('true');
      expect(first.headers.get('retry-after')).toBe('1');
      // No other phase ran: neither a second call under another key, nor a write.
      expect(new Set(shop.watch.remoteCalls).size).toBe(1);
      const left = await shop.dataSource.getRepository(Order).findBy({ account: 'c', amount: 1 });
      expect(left).toHaveLength(1);
      remoteReturns('approved');
      const second = await shop.post('/careless/swallows', { next }, key);
      expect([second.status, second.json['outcome']]).toEqual([201, 'approved']);
      expect(second.headers.get('idempotent-replayed')).toBeNull();
      expect(new Set(shop.watch.remoteCalls).size).toBe(1);
      expect((await orderOf(second)).account).toBe('finished');
    },
  );

  it('R12a the phase of the same name may be tried again in the same attempt, under the same key', async () => {
    const key = randomUUID();
    remoteReturns(new Error('connection lost'), 'approved');
    const reply = await shop.post('/careless/swallows', { next: 'try again' }, key);
    expect([reply.status, reply.json['outcome']]).toEqual([201, 'approved']);
    const [first, second] = shop.watch.remoteCalls;
    expect([shop.watch.remoteCalls.length, second]).toEqual([2, first]);
    const replay = await shop.post('/careless/swallows', { next: 'try again' }, key);
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
  });

  it('R12a a phase that may fail returns undefined, and the operation finishes without it', async () => {
    const key = randomUUID();
    remoteReturns(new Error('no labels today'));
    const reply = await shop.post('/careless/can-do-without', {}, key);
    expect([reply.status, reply.json['seen']]).toEqual([201, 'nothing']);
    remoteReturns('label');
    const replay = await shop.post('/careless/can-do-without', {}, key);
    expect([replay.text, replay.headers.get('idempotent-replayed')]).toEqual([reply.text, 'true']);
  });

  it('R12a the next local phase records a phase that was allowed to fail as past', async () => {
    const key = randomUUID();
    remoteReturns(new Error('no labels today'));
    const first = await shop.post('/careless/can-do-without', { local: true }, key);
    expect(first.status).toBe(503); // the charge behind it may not fail
    const [label, charge] = shop.watch.remoteCalls;
    expect(charge).not.toBe(label);
    remoteReturns('too late');
    const second = await shop.post('/careless/can-do-without', { local: true }, key);
    expect([second.status, second.json['seen']]).toEqual([201, 'nothing']);
    expect(shop.watch.remoteCalls).toEqual([label, charge, charge]);
  });

  it('R10 a phase without a result is past, too, and returns undefined in every attempt', async () => {
    const key = randomUUID();
    remoteReturns(new Error('connection lost'));
    expect((await shop.post('/careless/without-result', {}, key)).status).toBe(503);
    remoteReturns('approved');
    const second = await shop.post('/careless/without-result', {}, key);
    expect([second.status, second.json]).toEqual([201, { type: 'undefined' }]);
    expect(shop.watch.runs).toBe(1);
  });
});
