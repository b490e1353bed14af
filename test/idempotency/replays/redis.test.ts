/** Replays from Redis save the read of a row, and decide nothing (R6). */
import { hash, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { keyNameOf } from '../../../src/idempotency/store/key.store';
import { RedisReplays } from '../../../src/idempotency/replays/redis-replays';
import { eventually } from '../../support/eventually';
import { hasRedis, Redis } from '../../support/redis';
import { removeRow, ResponsesController } from '../responses.fixture';
import { openShop, type Reply, type Shop } from '../shop.fixture';
import { databaseUrlOf } from '../shop-database.fixture';

const controllers = [ResponsesController];

(hasRedis ? describe : describe.skip)('R6 replays from Redis', () => {
  let redis: Redis;
  let shop: Shop;
  let other: Shop;
  beforeAll(async () => {
    redis = await Redis.start();
    const options = { replayRedisUrl: redis.url, replayMemoryBytes: 0 };
    shop = await openShop('fastify', { controllers, options });
    const databaseUrl = databaseUrlOf(shop);
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
