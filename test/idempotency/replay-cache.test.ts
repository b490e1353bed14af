/** R5, R6, R18 the tiers that replay without PostgreSQL save reads and decide nothing. */
import { hash, randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Body, Controller, Header, Post } from '@nestjs/common';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { Idempotent } from '../../src/idempotency';
import { DatabaseClock } from '../../src/idempotency/store/database-clock';
import { type FinishedKey, keyNameOf } from '../../src/idempotency/store/key.store';
import { PostgresKeyStore } from '../../src/idempotency/store/postgres/postgres-key.store';
import { RedisReplays } from '../../src/idempotency/replays/redis-replays';
import { ReplayCache, type SharedReplays } from '../../src/idempotency/replays/replay-cache';
import { eventually } from '../support/eventually';
import { hasRedis, Redis } from '../support/redis';
import {
  type Adapter,
  openShop,
  type OrderBody,
  type Reply,
  type Shop,
  Watch,
} from './shop.fixture';

@Controller('responses')
class ResponsesController {
  constructor(
    private readonly watch: Watch,
    private readonly dataSource: DataSource,
  ) {}

  @Post('large')
  @Idempotent()
  large() {
    return { run: (this.watch.runs += 1), text: 'x'.repeat(100_000) };
  }

  @Post('text')
  @Idempotent()
  text(@Body() { length, random }: { length: number; random: boolean }) {
    const noise = Array.from(randomBytes(length), (byte) =>
      String.fromCharCode(0x23 + (byte % 0x5a)),
    );
    const text = random ? noise.join('') : 'ünïcode '.repeat(length / 8);
    return { run: (this.watch.runs += 1), text };
  }

  @Post('short')
  @Idempotent({ ttl: 60 })
  short() {
    return { run: (this.watch.runs += 1) };
  }

  @Post('placed')
  @Idempotent()
  @Header('location', '/there')
  placed() {
    return { run: (this.watch.runs += 1) };
  }

  @Post('plain')
  @Idempotent()
  plain() {
    return `run ${(this.watch.runs += 1)}`;
  }

  /** Its commit fails: a constraint that is checked only then. */
  @Post('failing')
  @Idempotent()
  async failing(@Body() { amount }: OrderBody) {
    this.watch.runs += 1;
    await this.dataSource.query('INSERT INTO only_even (amount) VALUES ($1)', [amount]);
    return { amount };
  }
}

const controllers = [ResponsesController];
const removeRow = (shop: Shop, key: string) =>
  shop.dataSource.query('DELETE FROM idempotency_keys WHERE key = $1', [key]);

describe.each<Adapter>(['fastify', 'express'])('R6 replays from memory on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop(adapter, { controllers });
    await shop.dataSource.query(
      `CREATE TABLE only_even (amount int);
       CREATE FUNCTION refuse_odd() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF NEW.amount % 2 = 1 THEN RAISE 'odd'; END IF; RETURN NEW; END $$;
       CREATE CONSTRAINT TRIGGER even AFTER INSERT ON only_even DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION refuse_odd()`,
    );
  });
  afterAll(() => shop.close());

  it.each(['/orders', '/orders/pay'])('%s: the same bytes without a row to read', async (path) => {
    const key = randomUUID();
    const first = await shop.post(path, { amount: 1 }, key);
    await removeRow(shop, key);
    const replay = await shop.post(path, { amount: 1 }, key);
    expect([replay.status, replay.text]).toEqual([first.status, first.text]);
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
    expect(replay.headers.get('original-request')).toBe(first.headers.get('request-id'));
    expect(replay.headers.get('content-type')).toBe(first.headers.get('content-type'));
  });

  it('sends nothing to the database', async () => {
    const key = randomUUID();
    await shop.post('/orders', { amount: 1 }, key);
    const queries = jest.spyOn(shop.dataSource, 'createQueryRunner');
    await shop.post('/orders', { amount: 1 }, key);
    expect(queries).not.toHaveBeenCalled();
    queries.mockRestore();
  });

  it('a stored refusal too', async () => {
    const key = randomUUID();
    const first = await shop.post('/orders', { amount: 1, fail: 402 }, key);
    await removeRow(shop, key);
    const replay = await shop.post('/orders', { amount: 1, fail: 402 }, key);
    expect([replay.status, replay.text]).toEqual([402, first.text]);
  });

  it('R7 another request under the same key is refused, with what differs', async () => {
    const key = randomUUID();
    await shop.post('/orders', { amount: 1 }, key);
    await removeRow(shop, key);
    const reused = await shop.post('/orders', { amount: 2 }, key);
    expect([reused.status, reused.json['code']]).toEqual([422, 'idempotency_key_reused']);
    expect(reused.text).toContain('amount');
  });

  it('R3 another account finds nothing', async () => {
    const key = randomUUID();
    await shop.post('/orders', { amount: 1 }, key);
    const other = await shop.post('/orders', { amount: 1 }, key, { authorization: 'b' });
    expect(other.headers.get('idempotent-replayed')).toBeNull();
  });

  it.each([{ fail: 500 }, { fail: 429 }, { fail: 400, retryable: true }])(
    'R14 what is not stored is not kept: %p',
    async (body) => {
      const key = randomUUID();
      const { runs } = shop.watch;
      await shop.post('/orders', { amount: 1, ...body }, key);
      await shop.post('/orders', { amount: 1, ...body }, key);
      expect(shop.watch.runs - runs).toBe(2);
    },
  );

  it('a response whose commit failed is not cached', async () => {
    const key = randomUUID();
    const { runs } = shop.watch;
    for (const _ of [1, 2]) {
      const res = await shop.post('/responses/failing', { amount: 1 }, key);
      expect(res.status).toBe(500);
      expect(res.headers.get('idempotent-replayed')).toBeNull();
    }
    expect(shop.watch.runs - runs).toBe(2);
  });
});

describe('R5 the life of a cached response', () => {
  let shop: Shop;
  let other: Shop;
  beforeAll(async () => {
    shop = await openShop('fastify', { controllers });
    const databaseUrl = (shop.dataSource.options as { url: string }).url;
    other = await openShop('fastify', { controllers, databaseUrl });
  });
  afterAll(async () => {
    await other.close();
    await shop.close();
  });
  afterEach(() => jest.restoreAllMocks());

  it('ends when the database says, without a query', async () => {
    const key = randomUUID();
    await shop.post('/responses/short', {}, key);
    const [[{ ends }]] = await shop.dataSource.query<[[{ ends: Date }]]>(
      `UPDATE idempotency_keys SET expires_at = expires_at + interval '1 hour' WHERE key = $1
       RETURNING expires_at AS ends`,
      [key],
    );
    const replay = await other.post('/responses/short', {}, key); // read, and kept for what is left
    await removeRow(shop, key);
    const clock = jest.spyOn(other.app.get(DatabaseClock, { strict: false }), 'latestMs');
    clock.mockReturnValue(ends.getTime() - 1);
    expect((await other.post('/responses/short', {}, key)).text).toBe(replay.text);
    clock.mockReturnValue(ends.getTime());
    const fresh = await other.post('/responses/short', {}, key);
    expect(fresh.headers.get('idempotent-replayed')).toBeNull();
  });

  it.each([-48, -1, 1, 48])('the clock of this process decides nothing: %d h', async (hours) => {
    const key = randomUUID();
    const now = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => now() + hours * 3_600_000);
    await shop.post('/responses/short', {}, key);
    await removeRow(shop, key);
    const replay = await shop.post('/responses/short', {}, key);
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
  });

  it('asks again after ten seconds: the clock it counts on may have stood still', () => {
    const clock = new DatabaseClock();
    expect(clock.latestMs()).toBeUndefined();
    const asked = performance.now();
    clock.recordReading(1_000_000, asked);
    const later = jest.spyOn(performance, 'now');
    later.mockReturnValue(asked + 9_999);
    expect(clock.latestMs()).toBeCloseTo(1_000_000 + 1 + 9_999, 3);
    later.mockReturnValue(asked + 10_001);
    expect(clock.latestMs()).toBeUndefined();
  });
});

describe('the memory of a process', () => {
  const finished = (bytes: number): FinishedKey => ({
    operation: 'POST /orders',
    originalRequest: 'one',
    fingerprint: { version: 1, hash: '00'.repeat(32) },
    parameters: '{}',
    storedResponse: { status: 200, headers: {}, body: Buffer.alloc(bytes) },
    expiresAtMs: 2_000_000,
  });
  const idOf = (at: number) => ({ account: 'a', mode: '', key: `key-${at}` });
  const clockAt = (nowMs: number) => {
    const clock = new DatabaseClock();
    clock.recordReading(nowMs, performance.now());
    return clock;
  };

  it('is bounded in bytes, and forgets what was used longest ago', () => {
    const cache = new ReplayCache(clockAt(1_000_000), 1_000_000);
    for (let at = 0; at < 1_000; at += 1) {
      cache.add(idOf(at), finished(10_000));
      void cache.find(idOf(0)); // stays in use
    }
    const kept = Array.from({ length: 1_000 }, (_, at) => cache.find(idOf(at))).filter(Boolean);
    expect(kept.length).toBeGreaterThan(80);
    expect(kept.length).toBeLessThan(100);
    expect(cache.find(idOf(0))).toBeDefined();
    expect(cache.find(idOf(1))).toBeUndefined();
    expect(cache.find(idOf(999))).toBeDefined();
  });

  it('keeps nothing larger than itself, and nothing when it is off', () => {
    const small = new ReplayCache(clockAt(1_000_000), 10_000);
    small.add(idOf(1), finished(20_000));
    expect(small.find(idOf(1))).toBeUndefined();
    const off = new ReplayCache(clockAt(1_000_000), 0);
    off.add(idOf(1), finished(10));
    expect(off.find(idOf(1))).toBeUndefined();
  });

  it('has nothing whose life is over, and nothing while the clock is not known', () => {
    const clock = clockAt(1_000_000);
    const cache = new ReplayCache(clock, 1_000_000);
    cache.add(idOf(1), finished(10));
    expect(cache.find(idOf(1))).toBeDefined();
    clock.recordReading(2_000_000, performance.now());
    expect(cache.find(idOf(1))).toBeUndefined();
    const unasked = new ReplayCache(new DatabaseClock(), 1_000_000);
    unasked.add(idOf(1), finished(10));
    expect(unasked.find(idOf(1))).toBeUndefined();
  });

  it('what Redis holds in another format is left alone', async () => {
    const held = ['{"format":1}\n', '{"format":2}', '{}', 'no JSON', ''];
    const shared: SharedReplays = {
      get: () => Promise.resolve(held.shift() ?? ''),
      set: () => Promise.resolve(),
    };
    const cache = new ReplayCache(clockAt(1_000_000), 0, shared);
    for (let at = 0; at < 5; at += 1) expect(await cache.find(idOf(at))).toBeUndefined();
  });

  it('off: every replay reads the row', async () => {
    const shop = await openShop('fastify', { controllers, options: { replayMemoryBytes: 0 } });
    const key = randomUUID();
    const { runs } = shop.watch;
    await shop.post('/responses/large', {}, key);
    await shop.post('/responses/large', {}, key);
    expect(shop.watch.runs - runs).toBe(1);
    await removeRow(shop, key);
    await shop.post('/responses/large', {}, key);
    expect(shop.watch.runs - runs).toBe(2);
    await shop.close();
  });

  it.each([
    [100, false, false],
    [1_500, false, true],
    [50_000, false, true],
    [70_000, false, false],
    [1_500, true, false],
  ])(
    'a text of %i, random: %p, is kept deflated: %p, and replayed the same',
    async (length, random, deflated) => {
      const shop = await openShop('fastify', { controllers, options: { replayMemoryBytes: 0 } });
      const key = randomUUID();
      const first = await shop.post('/responses/text', { length, random }, key);
      const [row] = await shop.dataSource.query<{ deflated: boolean; size: number }[]>(
        'SELECT deflated, octet_length(body) AS size FROM idempotency_keys WHERE key = $1',
        [key],
      );
      expect(row?.deflated).toBe(deflated);
      if (deflated) expect(row?.size).toBeLessThan(length / 2);
      const replay = await shop.post('/responses/text', { length, random }, key);
      expect(replay.headers.get('idempotent-replayed')).toBe('true');
      expect(replay.text).toBe(first.text);
      await shop.close();
    },
  );

  it('off: a row keeps headers only where there is more than the usual one', async () => {
    const shop = await openShop('fastify', { controllers, options: { replayMemoryBytes: 0 } });
    const kept: unknown[] = [];
    for (const path of ['/responses/short', '/responses/placed', '/responses/plain']) {
      const key = randomUUID();
      const first = await shop.post(path, {}, key);
      const [row] = await shop.dataSource.query<{ headers: unknown }[]>(
        'SELECT headers FROM idempotency_keys WHERE key = $1',
        [key],
      );
      kept.push(row?.headers);
      const replay = await shop.post(path, {}, key);
      for (const name of ['content-type', 'location']) {
        expect(replay.headers.get(name)).toBe(first.headers.get(name));
      }
      expect([replay.text, replay.status]).toEqual([first.text, first.status]);
    }
    const type = 'application/json; charset=utf-8';
    const text = expect.stringContaining('text/') as string;
    expect(kept).toEqual([
      null,
      { 'content-type': type, location: '/there' },
      { 'content-type': text },
    ]);
    await shop.close();
  });

  it('off, where most requests are replays: a plain read comes first, and decides nothing else', async () => {
    const shop = await openShop('fastify', { controllers, options: { replayMemoryBytes: 0 } });
    const key = randomUUID();
    const { runs } = shop.watch;
    const first = await shop.post('/orders', { amount: 1 }, key);
    for (let times = 0; times < 30; times += 1) await shop.post('/orders', { amount: 1 }, key);
    const sent = jest.spyOn(Client.prototype, 'query');
    const replay = await shop.post('/orders', { amount: 1 }, key);
    expect(replay.text).toBe(first.text);
    const statements = sent.mock.calls.map(
      ([query]) => (query as { statements?: { name: string }[] }).statements,
    );
    sent.mockRestore();
    expect(statements.flat().map((statement) => statement?.name)).toEqual(['paidonce_find']);
    const reused = await shop.post('/orders', { amount: 2 }, key);
    expect(reused.json['code']).toBe('idempotency_key_reused');
    expect((await shop.post('/orders', { amount: 1 }, randomUUID())).status).toBe(201);
    // An expired response is not replayed, and a running request has none yet.
    await shop.dataSource.query(
      `UPDATE idempotency_keys SET expires_at = now() - interval '1 s' WHERE key = $1`,
      [key],
    );
    const copies = await Promise.all(
      [1, 2, 3].map(() => shop.post('/orders', { amount: 1 }, key, { prefer: 'wait=60' })),
    );
    expect(copies.filter(({ headers }) => !headers.get('idempotent-replayed'))).toHaveLength(1);
    expect(shop.watch.runs - runs).toBe(3);
    await shop.close();
  });

  it('a wrong bound is refused at start-up', async () => {
    const options = { replayMemoryBytes: -1 };
    await expect(openShop('fastify', { options })).rejects.toThrow('replayMemoryBytes');
  });
});

describe('R6 reads of responses in PostgreSQL', () => {
  let shop: Shop;
  let store: PostgresKeyStore;
  const idOf = (key: string) => ({ account: 'a', mode: '', key });

  beforeAll(async () => {
    shop = await openShop('fastify', { controllers, options: { replayMemoryBytes: 0 } });
    store = new PostgresKeyStore(shop.dataSource, 10_000, new DatabaseClock());
  });
  afterAll(() => shop.close());

  it('share packets of at most 16 where they come together, and each finds its own', async () => {
    const keys = Array.from({ length: 40 }, () => randomUUID());
    const texts = new Map<string, string>();
    for (const key of keys.slice(20)) {
      texts.set(key, (await shop.post('/responses/short', {}, key)).text);
    }
    const look = () => Promise.all(keys.map((key) => store.findFinished(idOf(key))));
    for (let times = 0; times < 5; times += 1) await look(); // each connection prepares the statement
    const sent = jest.spyOn(Client.prototype, 'query');
    const found = await look();
    const together = sent.mock.calls.map(
      ([query]) => (query as { statements?: unknown[] }).statements?.length ?? 1,
    );
    sent.mockRestore();
    expect(together.toSorted((a, b) => b - a)).toEqual([16, 16, 8]);
    expect(found.map((key) => key?.storedResponse.body.toString())).toEqual(
      keys.map((key) => texts.get(key)),
    );
  });

  it('one that PostgreSQL refuses fails by itself', async () => {
    const key = randomUUID();
    const { text } = await shop.post('/responses/short', {}, key);
    const looks = [idOf(key), { ...idOf(key), mode: '\0' }, idOf(key), idOf('nobody')];
    for (let times = 0; times < 10; times += 1) {
      const [first, refused, second, none] = await Promise.allSettled(
        looks.map((id) => store.findFinished(id)),
      );
      expect(refused).toMatchObject({ reason: { code: '22021' } });
      const found = { status: 'fulfilled', value: { storedResponse: { body: Buffer.from(text) } } };
      expect([first, second]).toMatchObject([found, found]);
      expect(none).toEqual({ status: 'fulfilled', value: undefined });
    }
  });

  it('all fail where the database is gone', async () => {
    const database = new DataSource({ ...shop.dataSource.options });
    await database.initialize();
    const other = new PostgresKeyStore(database, 10_000, new DatabaseClock());
    await database.destroy();
    const looks = await Promise.allSettled(['a', 'b'].map((key) => other.findFinished(idOf(key))));
    expect(looks.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});

(hasRedis ? describe : describe.skip)('R6 replays from Redis', () => {
  let redis: Redis;
  let shop: Shop;
  let other: Shop;
  beforeAll(async () => {
    redis = await Redis.start();
    const options = { replayRedisUrl: redis.url, replayMemoryBytes: 0 };
    shop = await openShop('fastify', { controllers, options });
    const databaseUrl = (shop.dataSource.options as { url: string }).url;
    other = await openShop('fastify', { controllers, options, databaseUrl });
  });
  afterAll(async () => {
    await other.close();
    await shop.close();
    await redis.stop();
  });

  /** The name of an entry. */
  const entryOf = (key: string) =>
    `paidonce:replay:${hash('sha256', keyNameOf({ account: 'a', mode: '', key }), 'base64url')}`;

  /** Makes a response that is in Redis alone, where Redis has stored it. */
  const postAndForgetRow = async () => {
    const key = randomUUID();
    const first = await shop.post('/responses/short', {}, key);
    // The entry is sent after the response, and dropped where Redis is slow.
    const kept = async () => (await redis.command(`EXISTS ${entryOf(key)}`)) === ':1';
    for (let times = 0; times < 100 && !(await kept()); times += 1) await pause(5);
    await removeRow(shop, key);
    // Another process needs to have heard the database's clock.
    await other.post('/responses/short', {}, randomUUID());
    return { key, first };
  };

  /**
   * Gets a response from Redis. The server waits for it only briefly, as PostgreSQL would have replied by then: where
   * Redis is too slow, this tries again.
   */
  const replayedFromRedis = async () => {
    let found: { key: string; first: Reply; replay: Reply } | undefined;
    await eventually('Redis replies in time', async () => {
      const { key, first } = await postAndForgetRow();
      const replay = await other.post('/responses/short', {}, key);
      if (replay.headers.get('idempotent-replayed') === 'true') found = { key, first, replay };
      return found !== undefined;
    });
    return found!;
  };

  it('another process has the same bytes without a row to read', async () => {
    const { first, replay } = await replayedFromRedis();
    expect([replay.status, replay.text]).toEqual([first.status, first.text]);
  });

  it('R7 another process refuses another request under the same key', async () => {
    await eventually('Redis replies in time', async () => {
      const { key } = await replayedFromRedis();
      const reused = await other.post('/responses/short', { amount: 1 }, key);
      return reused.json['code'] === 'idempotency_key_reused';
    });
  });

  it('entries have a life', async () => {
    const { key } = await replayedFromRedis();
    const life = Number((await redis.command(`PTTL ${entryOf(key)}`)).slice(1));
    expect(life).toBeGreaterThan(0);
    expect(life).toBeLessThanOrEqual(60_000);
  });

  it.each(['flushed', 'killed', 'frozen'] as const)('%s: slower, never wrong', async (what) => {
    const key = randomUUID();
    const { runs } = shop.watch;
    const first = await shop.post('/responses/short', {}, key);
    const replays = shop.app.get(RedisReplays, { strict: false });
    const asked = [jest.spyOn(replays, 'get'), jest.spyOn(replays, 'set')];
    if (what === 'flushed') await redis.command('FLUSHALL');
    if (what === 'killed') await redis.kill9();
    if (what === 'frozen') redis.freeze();
    try {
      const started = performance.now();
      for (let times = 0; times < 20; times += 1) {
        expect((await shop.post('/responses/short', {}, key)).text).toBe(first.text);
        expect((await shop.post('/responses/short', {}, randomUUID())).status).toBe(201);
      }
      expect(shop.watch.runs - runs).toBe(21);
      // Three that fail, with what was sent meanwhile, and from then on one in a second.
      const seconds = (performance.now() - started) / 1_000;
      const calls = asked.reduce((sum, { mock }) => sum + mock.calls.length, 0);
      if (what !== 'flushed') expect(calls).toBeLessThan(10 + 2 * seconds);
    } finally {
      jest.restoreAllMocks();
      if (what === 'killed') await redis.startAgain();
      if (what === 'frozen') redis.thaw();
    }
    // And it is used again.
    const again = await replayedFromRedis();
    expect(again.replay.text).toBe(again.first.text);
  });
});
