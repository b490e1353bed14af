/** What a process keeps of responses: bounded in bytes, none past its life, and only what it can read (R18). */
import { DatabaseClock } from '../../../src/idempotency/store/database-clock';
import type { FinishedKey } from '../../../src/idempotency/store/key.store';
import { ReplayCache, type SharedReplays } from '../../../src/idempotency/replays/replay-cache';
import { openShop } from '../shop.fixture';

describe('R18 the cache of replays', () => {
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

  it('a wrong bound is refused at start-up', async () => {
    const options = { replayMemoryBytes: -1 };
    await expect(openShop('fastify', { options })).rejects.toThrow('replayMemoryBytes');
  });
});
