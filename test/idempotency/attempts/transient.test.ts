/** Failures after which the same request may succeed, and what filters and interceptors make of them (R13a). */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { BadRequestException, ConflictException, HttpException } from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR } from '@nestjs/core';
import { type Adapter, openShop, type Reply, type Shop } from '../shop.fixture';
import {
  countKeys,
  countOrders,
  noConnectionIsLentOut,
  noTransactionIsOpen,
} from '../shop-database.fixture';
import {
  CoveringFilter,
  CoveringInterceptor,
  DomainError,
  failWith,
  KILL,
  MADE_OF,
  Plan,
  PlannedController,
  ReturnedConflict,
} from './transient.fixture';

/** Each failure that PostgreSQL or the way to it can have, by a statement that has it. */
const FAILURES: Record<string, string> = {
  'a deadlock': failWith('40P01'),
  'a serialization failure': failWith('40001'),
  'a lock time-out': failWith('55P03'),
  'a statement time-out': 'SET LOCAL statement_timeout = 20; SELECT pg_sleep(60)',
  'too many connections': failWith('53300'),
  'a full disk': failWith('53100'),
  'a read-only server':
    'SET LOCAL transaction_read_only = on; INSERT INTO orders (amount) VALUES (1)',
  'a killed connection': KILL,
};

/** What may cover the error between the handler and the client; nothing at first. */
const COVERS: readonly Record<string, string>[] = [
  {},
  { 'x-filter': '409' },
  { 'x-filter': '200' },
  { 'x-filter': '302' },
  { 'x-interceptor': 'yes' },
];

describe.each<Adapter>(['fastify', 'express'])('transient failures on %s', (adapter) => {
  let shop: Shop;
  let plan: Plan;
  const accepted = new Set<unknown>();
  beforeAll(async () => {
    shop = await openShop(adapter, {
      controllers: [PlannedController],
      poolSize: 4,
      options: {
        isOutcome: (error) => {
          if (accepted.has('throws')) throw new Error('in isOutcome');
          return accepted.has(error);
        },
      },
      providers: [
        Plan,
        { provide: APP_FILTER, useClass: CoveringFilter },
        { provide: APP_INTERCEPTOR, useClass: CoveringInterceptor },
      ],
    });
    plan = shop.app.get(Plan);
  });
  afterAll(() => shop.close());
  beforeEach(() => {
    plan.reset();
    accepted.clear();
    shop.watch.remoteCalls = [];
  });
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  const send = (path: string, key: string, headers: Record<string, string> = {}, body = {}) =>
    shop.post(`/planned/${path}`, body, key, headers);
  const expectRefused = (reply: Reply, code = 'idempotency_store_unavailable') => {
    expect([reply.status, reply.json['code']]).toEqual([503, code]);
    expect(reply.headers.get('retry-after')).toBe('1');
    expect(reply.headers.get('stripe-should-retry')).toBe('true');
  };
  /** The plan was undone: no effect, no key. Without it the retry runs. */
  const expectUndone = async (key: string, orders: number) => {
    expect([await countOrders(shop), await countKeys(shop, key)]).toEqual([orders, 0]);
    plan.reset();
    const again = await send('atomic', key);
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, null]);
    expect(await countOrders(shop)).toBe(orders + 1);
  };
  const expectStored = async (path: string, key: string, first: Reply, headers = {}) => {
    expect(first.headers.get('stripe-should-retry')).toBe('false');
    const { runs } = shop.watch;
    const replay = await send(path, key, headers);
    expect([replay.status, replay.text]).toEqual([first.status, first.text]);
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
    expect(shop.watch.runs).toBe(runs);
  };

  describe.each(COVERS)('covered by %o', (cover) => {
    it.each(Object.entries(FAILURES))('R13a atomic: %s is 503 and undone', async (_name, sql) => {
      const key = randomUUID();
      const before = await countOrders(shop);
      plan.sql = sql;
      expectRefused(await send('atomic', key, cover));
      await expectUndone(key, before);
    });

    it.each(['first', 'second', 'finish'])(
      'R13a phased: a connection that is killed in %s is 503, and the retry goes on with the same remote key',
      async (phase) => {
        const key = randomUUID();
        const before = await countOrders(shop);
        Object.assign(plan, { sql: KILL, phase });
        const code = `idempotency_${phase === 'first' ? 'store_unavailable' : 'outcome_unknown'}`;
        expectRefused(await send('phased', key, cover), code);
        expect(await countKeys(shop, key)).toBe(phase === 'first' ? 0 : 1);
        plan.reset();
        const again = await send('phased', key, cover);
        expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, null]);
        expect(new Set(shop.watch.remoteCalls).size).toBe(1);
        expect(await countOrders(shop)).toBe(before + 1);
      },
    );

    it('R12a phased: an error inside a remote phase is no outcome, even a 4xx', async () => {
      const key = randomUUID();
      Object.assign(plan, { error: new ConflictException('declined'), phase: 'remote' });
      expectRefused(await send('phased', key, cover), 'idempotency_outcome_unknown');
      plan.reset();
      expect((await send('phased', key)).status).toBe(201);
      expect(new Set(shop.watch.remoteCalls).size).toBe(1);
    });
  });

  // Of a statement that left the transaction whole, so that nothing but the error tells of it.
  it.each(
    Object.keys(MADE_OF).flatMap((name) => [
      [name, 'nested'],
      [name, 'outside'],
    ]),
  )(
    'R13a a failure is found in what the handler throws: %s, of a statement %s',
    async (name, around) => {
      const key = randomUUID();
      const before = await countOrders(shop);
      Object.assign(plan, { sql: failWith('40P01'), make: MADE_OF[name], around });
      expectRefused(await send('atomic', key, { 'x-filter': '409' }));
      await expectUndone(key, before);
    },
  );

  it.each(Object.entries(MADE_OF))(
    'R13a an error of the database that no other try changes is an outcome where a filter says so: %s',
    async (_name, make) => {
      const key = randomUUID();
      Object.assign(plan, { sql: failWith('23505'), make });
      const first = await send('atomic', key, { 'x-filter': '409' });
      expect(first.status).toBe(409);
      await expectStored('atomic', key, first, { 'x-filter': '409' });
    },
  );

  describe('a 4xx that the handler throws because of one', () => {
    it.each([true, false])(
      'R13a goes out as it is, retryable and not stored; with the failure as its cause: %s',
      async (withCause) => {
        const key = randomUUID();
        const before = await countOrders(shop);
        plan.sql = failWith('40P01');
        plan.make = (cause) => new ConflictException('busy', withCause ? { cause } : {});
        const first = await send('atomic', key);
        expect([first.status, first.json['message']]).toEqual([409, 'busy']);
        expect(first.headers.get('stripe-should-retry')).toBe('true');
        await expectUndone(key, before);
      },
    );

    it.each(['first', 'second', 'finish'])(
      'R13a goes out as it is from a phased handler, too (%s), which goes on later',
      async (phase) => {
        const key = randomUUID();
        Object.assign(plan, { sql: failWith('40P01'), phase });
        plan.make = () => new ConflictException('busy');
        const first = await send('phased', key);
        expect([first.status, first.json['message']]).toEqual([409, 'busy']);
        expect(first.headers.get('stripe-should-retry')).toBe('true');
        plan.reset();
        const again = await send('phased', key);
        expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, null]);
        expect(new Set(shop.watch.remoteCalls).size).toBe(1);
      },
    );

    it('R13a is no outcome where the last phase returns it, either', async () => {
      const key = randomUUID();
      plan.sql = failWith('40P01');
      plan.make = (cause) => new ReturnedConflict('busy', { cause });
      const first = await send('phased', key);
      expect([first.status, first.headers.get('stripe-should-retry')]).toEqual([409, 'true']);
      plan.reset();
      expect((await send('phased', key)).status).toBe(201);
    });

    it('R13a becomes a 503 where a filter makes a success of it', async () => {
      const key = randomUUID();
      const before = await countOrders(shop);
      plan.sql = failWith('40P01');
      plan.make = () => new ConflictException('busy');
      expectRefused(await send('atomic', key, { 'x-filter': '200' }));
      await expectUndone(key, before);
    });

    it.each(['nested', 'outside'] as const)(
      'R13a is an outcome where the failure was undone (%s) and left nothing behind',
      async (around) => {
        const key = randomUUID();
        Object.assign(plan, { sql: failWith('55P03'), around });
        plan.make = () => new ConflictException('busy');
        const first = await send('atomic', key);
        expect(first.status).toBe(409);
        await expectStored('atomic', key, first);
      },
    );
  });

  describe('a failure that the handler swallows', () => {
    it('R13a is 503, because it left the transaction aborted', async () => {
      const key = randomUUID();
      const before = await countOrders(shop);
      plan.sql = failWith('40P01');
      plan.make = () => undefined;
      expectRefused(await send('atomic', key));
      await expectUndone(key, before);
    });

    it.each([
      ['first', 'idempotency_store_unavailable'],
      ['finish', 'idempotency_outcome_unknown'],
    ])('R13a is 503 in a phase (%s), too', async (phase, code) => {
      const key = randomUUID();
      Object.assign(plan, { sql: failWith('40P01'), phase });
      plan.make = () => undefined;
      expectRefused(await send('phased', key), code);
      plan.reset();
      expect((await send('phased', key)).status).toBe(201);
    });

    it('R13a is 503 where the handler catches the whole first phase and returns', async () => {
      const key = randomUUID();
      Object.assign(plan, { sql: failWith('40P01'), phase: 'first' });
      expectRefused(await send('phased', key, {}, { catchPhase: true }));
      plan.reset();
      expect((await send('phased', key, {}, { catchPhase: true })).status).toBe(201);
    });

    it.each(['nested', 'outside'] as const)(
      'R13a leaves the handler its success where it was undone (%s)',
      async (around) => {
        const key = randomUUID();
        Object.assign(plan, { sql: failWith('55P03'), around });
        plan.make = () => undefined;
        const first = await send('atomic', key);
        expect(first.status).toBe(201);
        await expectStored('atomic', key, first);
      },
    );
  });

  describe('words', () => {
    it.each([
      new ConflictException('This trainer has too many clients'),
      new ConflictException('timeout exceeded when trying to connect'),
      new BadRequestException('Connection terminated unexpectedly', {
        cause: new Error('query read timeout'),
      }),
    ])('R13a decide nothing in an error of the application: %s', async (error) => {
      const key = randomUUID();
      plan.error = error;
      const first = await send('atomic', key);
      expect(first.status).toBe(error.getStatus());
      await expectStored('atomic', key, first);
    });

    it('R13a decide nothing in a domain error that a filter maps', async () => {
      const key = randomUUID();
      plan.error = Object.assign(new DomainError('too many clients'), { code: '40P01' });
      const first = await send('atomic', key, { 'x-filter': '409' });
      expect(first.status).toBe(409);
      await expectStored('atomic', key, first, { 'x-filter': '409' });
    });
  });

  describe('a system error of Node’s', () => {
    /** A port that refuses connections: it was somebody's until now. */
    const refusingUrl = async (host: string) => {
      const server = createServer().listen(0, '127.0.0.1');
      await new Promise((listening) => server.once('listening', listening));
      const { port } = server.address() as AddressInfo;
      await new Promise((closed) => server.close(closed));
      return `http://${host}:${port}`;
    };

    it.each(['127.0.0.1', 'localhost'])(
      'R13a from a call to %s: 503 and undone, whatever a filter says',
      async (host) => {
        const key = randomUUID();
        const before = await countOrders(shop);
        plan.error = await fetch(await refusingUrl(host)).catch((error: unknown) => error);
        for (const cover of COVERS) expectRefused(await send('atomic', key, cover));
        plan.error = (plan.error as Error).cause;
        expectRefused(await send('atomic', key, { 'x-filter': '409' }));
        await expectUndone(key, before);
      },
    );

    it('R13a inside a 4xx of the application’s own is an outcome: the handler has decided', async () => {
      const key = randomUUID();
      const cause = Object.assign(new Error('connect'), {
        code: 'ECONNREFUSED',
        syscall: 'connect',
      });
      plan.error = new ConflictException('the carrier is closed', { cause });
      const first = await send('atomic', key);
      expect(first.status).toBe(409);
      await expectStored('atomic', key, first);
    });
  });

  describe('an error that another response is made of', () => {
    const SUCCESSES = COVERS.filter((cover) => !['409', undefined].includes(cover['x-filter']));
    SUCCESSES.push({ 'x-interceptor': 'yes' });

    it.each(SUCCESSES)('R13a is undone and 503 where it is no outcome: %o', async (cover) => {
      for (const error of [
        new DomainError('none left'),
        new HttpException('later', 503),
        new HttpException('slower', 429),
        Object.assign(new ConflictException('busy'), { retryable: true }),
      ]) {
        const key = randomUUID();
        const before = await countOrders(shop);
        plan.error = error;
        expectRefused(await send('atomic', key, cover));
        await expectUndone(key, before);
      }
    });

    it.each(SUCCESSES)(
      'R13a is stored where it is an outcome, without its writes: %o',
      async (cover) => {
        const domain = new DomainError('none left');
        accepted.add(domain);
        for (const error of [new ConflictException('none left'), domain]) {
          const key = randomUUID();
          const before = await countOrders(shop);
          plan.error = error;
          const first = await send('atomic', key, cover);
          expect(first.status).toBeLessThan(400);
          expect(await countOrders(shop)).toBe(before);
          await expectStored('atomic', key, first, cover);
        }
      },
    );

    it('R13a is stored with its writes where the last phase returned it', async () => {
      const key = randomUUID();
      plan.sql = failWith('23505');
      plan.around = 'nested';
      plan.make = () => new ReturnedConflict('taken');
      const first = await send('phased', key, { 'x-filter': '200' });
      expect(first.status).toBe(200);
      await expectStored('phased', key, first, { 'x-filter': '200' });
    });

    it('R13a is none where `isOutcome` throws', async () => {
      const key = randomUUID();
      const before = await countOrders(shop);
      plan.error = new DomainError('none left');
      accepted.add('throws');
      expectRefused(await send('atomic', key, { 'x-filter': '200' }));
      await expectUndone(key, before);
    });

    it('R13a is undone without a key, too', async () => {
      const before = await countOrders(shop);
      plan.error = new DomainError('none left');
      expect(
        (await shop.post('/planned/atomic', {}, undefined, { 'x-filter': '200' })).status,
      ).toBe(503);
      expect(await countOrders(shop)).toBe(before);
    });
  });
});
