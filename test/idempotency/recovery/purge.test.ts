/** The purge removes expired keys in batches, and no others, without waiting for anybody (R18, R19). */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Client } from 'pg';
import { PurgeJob } from '../../../src/idempotency';
import { KeyStore, type PurgedBatch } from '../../../src/idempotency/store/key.store';
import { age, countRows, DAY_S, openAgeingShop, purge, removeRows, rowOf } from '../ageing.fixture';
import type { Shop } from '../shop.fixture';
import { databaseUrlOf } from '../shop-database.fixture';

describe('the purge', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openAgeingShop();
  });
  afterAll(() => shop.close());
  beforeEach(() => removeRows(shop));
  afterEach(() => jest.restoreAllMocks());

  /** Inserts many rows of one kind, as if written two days ago with a life of one day. */
  const insert = (count: number, kind: 'finished' | 'unfinished', expired: boolean) =>
    shop.dataSource.query(
      `INSERT INTO idempotency_keys (account, mode, key, claim_id, attempt, operation, fingerprint,
         fingerprint_version, parameters, original_request, status, headers, body,
         created_at, expires_at, lease_until, request)
       SELECT 'a', '', $1 || n, gen_random_uuid(), 1, 'POST /orders', '\\x00', 1, '{}', 'r',
         CASE WHEN $2 THEN 201 END, CASE WHEN $2 THEN '{}'::jsonb END,
         CASE WHEN $2 THEN '\\x'::bytea END, now() - interval '2 days',
         now() + CASE WHEN $3 THEN interval '-1 day' ELSE interval '1 day' END,
         CASE WHEN $2 THEN NULL ELSE now() - interval '1 day' END,
         CASE WHEN $2 THEN NULL ELSE '{}'::jsonb END
       FROM generate_series(1, $4::int) AS n`,
      [`${kind}-${expired}-`, kind === 'finished', expired, count],
    );

  it('R18 removes finished and expired keys, in batches, and no others', async () => {
    await insert(12_000, 'finished', true);
    await insert(20, 'finished', false);
    await insert(20, 'unfinished', true);
    await insert(20, 'unfinished', false);
    const batch = jest.spyOn(shop.app.get<KeyStore>(KeyStore, { strict: false }), 'purge');
    const { removed, batches } = await purge(shop);
    expect(removed).toBe(12_000);
    expect(batches).toBeGreaterThanOrEqual(3);
    expect(batch).toHaveBeenCalledTimes(batches);
    // Small ones while others are at work, and nobody knows before the first.
    expect(batch.mock.calls[0]).toEqual([1_000]);
    const busy = await Promise.all(
      batch.mock.results.map(async ({ value }) => (await (value as Promise<PurgedBatch>)).busy),
    );
    const expected = busy.slice(0, -1).map((others) => (others === 0 ? 5_000 : 1_000));
    expect(batch.mock.calls.slice(1).flat()).toEqual(expected);
    expect(await countRows(shop)).toBe(60);
    expect(await purge(shop)).toMatchObject({ removed: 0, batches: 1 });
  });

  it('R19 stops between two batches when it is told to', async () => {
    await insert(2_500, 'finished', true);
    const stop = new AbortController();
    stop.abort();
    const done = await shop.app.get(PurgeJob, { strict: false }).runOnce(stop.signal);
    expect(done).toMatchObject({ removed: 1_000, batches: 1 });
  });

  it('R19 skips locked rows without waiting for them', async () => {
    await insert(10, 'finished', true);
    const holder = new Client({ connectionString: databaseUrlOf(shop) });
    await holder.connect();
    try {
      await holder.query('BEGIN');
      await holder.query(
        "SELECT 1 FROM idempotency_keys WHERE key IN ('finished-true-1', 'finished-true-2') FOR UPDATE",
      );
      expect(await purge(shop)).toMatchObject({ removed: 8, batches: 1 });
      await holder.query('ROLLBACK');
      expect(await purge(shop)).toMatchObject({ removed: 2, batches: 1 });
    } finally {
      await holder.end();
    }
  });

  it('R19 two purges at once remove each row once', async () => {
    await insert(2_000, 'finished', true);
    const both = await Promise.all([purge(shop), purge(shop)]);
    expect(both.reduce((sum, { removed }) => sum + removed, 0)).toBe(2_000);
    expect(await countRows(shop)).toBe(0);
  });

  it('R18 a key that is being renewed while it is purged ends as the renewed one', async () => {
    const key = randomUUID();
    await shop.post('/orders', { amount: 1 }, key);
    await age(shop, key, DAY_S);
    const held = once(shop.watch, 'held renewed');
    const renewed = shop.post('/orders', { amount: 2, hold: 'renewed' }, key);
    await held;
    expect(await purge(shop)).toMatchObject({ removed: 1 });
    shop.watch.release('renewed');
    expect((await renewed).status).toBe(201);
    expect(await rowOf(shop, key)).toMatchObject({ status: 201, life: DAY_S });
  });
});
