/** The life of a key, by the database's clock alone, and the purge of expired keys. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { Controller, Post } from '@nestjs/common';
import { Client } from 'pg';
import {
  CreateIdempotencyKeys1764000000000,
  Idempotent,
  KeyStatusService,
  PurgeJob,
} from '../../src/idempotency';
import { KeyStore, type PurgedBatch } from '../../src/idempotency/store/key.store';
import { eventually } from '../support/eventually';
import { openShop, type Shop, Watch } from './shop.fixture';

const DAY_S = 86_400;

@Controller('lives')
class LivesController {
  constructor(private readonly watch: Watch) {}

  @Post('short')
  @Idempotent({ ttl: 60 })
  short() {
    return { run: (this.watch.runs += 1) };
  }

  @Post('long')
  @Idempotent({ ttl: 30 * DAY_S })
  long() {
    return { run: (this.watch.runs += 1) };
  }
}

describe('the life of a key', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop('fastify', {
      controllers: [LivesController],
      // The tests age rows directly; cached replays would not notice.
      options: { replayMemoryBytes: 0 },
    });
  });
  afterAll(() => shop.close());
  beforeEach(async () => {
    await shop.dataSource.query('DELETE FROM idempotency_keys');
  });
  afterEach(() => jest.restoreAllMocks());

  interface Aged {
    readonly life: number;
    readonly left: number;
    readonly age: number;
    readonly status: number | null;
    readonly claim_id: string;
    readonly attempt: number;
  }
  const row = async (key: string): Promise<Aged | undefined> => {
    const rows = await shop.dataSource.query<Aged[]>(
      `SELECT extract(epoch FROM expires_at - created_at)::float8 AS life,
         extract(epoch FROM expires_at - now())::float8 AS left,
         extract(epoch FROM now() - created_at)::float8 AS age, status, claim_id, attempt
       FROM idempotency_keys WHERE key = $1`,
      [key],
    );
    return rows[0];
  };
  /** Makes the row look as if it had been written this long ago. */
  const age = (key: string, seconds: number) =>
    shop.dataSource.query(
      `UPDATE idempotency_keys SET created_at = created_at - $2::int * interval '1 second',
         expires_at = expires_at - $2::int * interval '1 second',
         lease_until = lease_until - $2::int * interval '1 second' WHERE key = $1`,
      [key, seconds],
    );
  const purge = () => shop.app.get(PurgeJob, { strict: false }).runOnce();
  const rows = async () => {
    const [{ n }] = await shop.dataSource.query<[{ n: number }]>(
      'SELECT count(*)::int AS n FROM idempotency_keys',
    );
    return n;
  };

  it('R18 is 24 hours by default, or as the endpoint declares', async () => {
    const [byDefault, short, long] = [randomUUID(), randomUUID(), randomUUID()];
    await shop.post('/orders', { amount: 1 }, byDefault);
    await shop.post('/lives/short', {}, short);
    await shop.post('/lives/long', {}, long);
    expect((await row(byDefault))?.life).toBe(DAY_S);
    expect((await row(short))?.life).toBe(60);
    expect((await row(long))?.life).toBe(30 * DAY_S);
  });

  it('R18 has its bounds checked where the endpoint is declared', () => {
    for (const ttl of [59, 0, -60, 2_592_001, 60.5, Number.NaN, Infinity]) {
      expect(() => Idempotent({ ttl })).toThrow('ttl is in seconds, from 60 to 2592000');
    }
    for (const ttl of [60, 2_592_000]) expect(() => Idempotent({ ttl })).not.toThrow();
  });

  it.each([59, 2_592_001, 1.5])(
    'R18 does not start with a life of %d seconds',
    async (ttlSeconds) => {
      await expect(
        openShop('fastify', { databaseUrl: databaseUrl(), options: { ttlSeconds } }),
      ).rejects.toThrow('ttlSeconds must be a whole number from 60 to 2592000');
    },
  );

  it('R5 before its end a repeat is a replay, and at its end a fresh key', async () => {
    const key = randomUUID();
    const first = await shop.post('/lives/short', {}, key);
    await age(key, 1);
    const late = await shop.post('/lives/short', {}, key);
    expect([late.text, late.headers.get('idempotent-replayed')]).toEqual([first.text, 'true']);
    await age(key, 59);
    const fresh = await shop.post('/lives/short', {}, key);
    expect(fresh.headers.get('idempotent-replayed')).toBeNull();
    expect(fresh.text).not.toBe(first.text);
    expect(fresh.headers.get('original-request')).toBe(fresh.headers.get('request-id'));
  });

  it.each([true, false])(
    'R5 an expired key is fresh at once, for another request too (purged before: %s)',
    async (purged) => {
      const key = randomUUID();
      await shop.post('/orders', { amount: 1 }, key);
      const before = await row(key);
      await age(key, DAY_S);
      if (purged) expect(await purge()).toMatchObject({ removed: 1, batches: 1 });
      const other = await shop.post('/orders', { amount: 2 }, key);
      expect(other.status).toBe(201);
      const after = await row(key);
      expect(after?.claim_id).not.toBe(before?.claim_id);
      expect(after).toMatchObject({ attempt: 1, life: DAY_S });
      expect(after?.age).toBeLessThan(DAY_S / 2);
      const replay = await shop.post('/orders', { amount: 2 }, key);
      expect(replay.text).toBe(other.text);
    },
  );

  it('R5 an expired key whose new life fails or is declined', async () => {
    const key = randomUUID();
    const stored = await shop.post('/orders', { amount: 1 }, key);
    await age(key, DAY_S);
    expect((await shop.post('/orders', { amount: 1, fail: 500 }, key)).status).toBe(500);
    expect((await row(key))?.left).toBeLessThanOrEqual(0); // rolled back: the old row is there, expired
    expect((await shop.post('/orders', { amount: 1, fail: 402 }, key)).status).toBe(402);
    expect(await row(key)).toMatchObject({ status: 402, life: DAY_S, attempt: 1 });
    const replay = await shop.post('/orders', { amount: 1, fail: 402 }, key);
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
    expect(replay.text).not.toBe(stored.text);
  });

  it('R5 of two copies that race for an expired key one runs', async () => {
    for (const path of ['/orders', '/orders/pay']) {
      const key = randomUUID();
      await shop.post(path, { amount: 1 }, key);
      await age(key, DAY_S);
      const { runs } = shop.watch;
      const held = once(shop.watch, 'held race');
      const body = { amount: 2, hold: 'race' };
      const racing = Array.from({ length: 8 }, () => shop.post(path, body, key));
      await held;
      let refused = 0;
      for (const reply of racing)
        void reply.then(({ status }) => (refused += Number(status === 409)));
      await eventually('the others are refused', () => refused === 7);
      shop.watch.release('race');
      const statuses = (await Promise.all(racing)).map(({ status }) => status);
      expect(statuses.filter((status) => status === 201)).toHaveLength(1);
      expect(shop.watch.runs).toBe(runs + 1);
    }
  });

  it('R5 the clock of this process decides nothing', async () => {
    const [fresh, old] = [randomUUID(), randomUUID()];
    await shop.post('/orders', { amount: 1 }, fresh);
    await shop.post('/lives/short', {}, old);
    await age(old, 60);
    const real = Date.now;
    for (const hours of [48, -48]) {
      jest.spyOn(Date, 'now').mockImplementation(() => real() + hours * 3_600_000);
      expect(Date.now() - real()).toBeCloseTo(hours * 3_600_000, -4);
      const replay = await shop.post('/orders', { amount: 1 }, fresh);
      expect(replay.headers.get('idempotent-replayed')).toBe('true');
      const first = await shop.post('/lives/short', {}, old);
      expect(first.headers.get('idempotent-replayed')).toBeNull();
      const written = await row(old);
      expect(written?.life).toBe(60);
      expect(Math.abs(written?.age ?? Infinity)).toBeLessThan(DAY_S);
      await age(old, 60);
      expect(await purge()).toMatchObject({ removed: 1 });
      expect(await row(fresh)).toBeDefined();
    }
  });

  it('R11 the clock of this process takes over no key', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held wrong-clock');
    const body = { amount: 1, hold: 'wrong-clock' };
    const running = shop.post('/orders/pay', body, key);
    await held;
    const real = Date.now;
    jest.spyOn(Date, 'now').mockImplementation(() => real() + 48 * 3_600_000);
    expect((await shop.post('/orders/pay', body, key)).status).toBe(409);
    expect(await row(key)).toMatchObject({ attempt: 1 });
    shop.watch.release('wrong-clock');
    expect((await running).status).toBe(201);
  });

  it('R18 a key that was taken over lives its whole life from the finish', async () => {
    const key = randomUUID();
    shop.watch.remote = () => Promise.reject(new Error('no result'));
    expect((await shop.post('/orders/pay', { amount: 1 }, key)).status).toBe(503);
    await age(key, 3 * DAY_S);
    expect(await purge()).toMatchObject({ removed: 0 }); // unfinished: it never expires
    shop.watch.remote = () => Promise.resolve('approved');
    const done = await shop.post('/orders/pay', { amount: 1 }, key);
    expect(done.status).toBe(201);
    const finished = await row(key);
    expect(finished).toMatchObject({ attempt: 2, status: 201 });
    expect(finished?.age).toBeGreaterThan(3 * DAY_S - 1);
    expect(finished?.left).toBeGreaterThan(DAY_S / 2);
    expect((await shop.post('/orders/pay', { amount: 1 }, key)).text).toBe(done.text);
  });

  it('R18 a key that was not taken over lives from its claim', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held slow');
    const running = shop.post('/orders/pay', { amount: 1, hold: 'slow' }, key);
    await held;
    await shop.dataSource.query(
      `UPDATE idempotency_keys SET created_at = created_at - interval '1 hour',
         expires_at = expires_at - interval '1 hour' WHERE key = $1`,
      [key],
    );
    shop.watch.release('slow');
    expect((await running).status).toBe(201);
    expect(await row(key)).toMatchObject({ attempt: 1, life: DAY_S });
  });

  it('R20 an expired key is unknown, and another one tells when it expires', async () => {
    const key = randomUUID();
    const keys = shop.app.get(KeyStatusService, { strict: false });
    const asker = (account: string) => ({ account, method: 'GET', url: '/', headers: {} });
    await shop.post('/orders', { amount: 1 }, key);
    const found = await keys.find(asker('a'), key);
    expect(found).toMatchObject({ state: 'finished', status: 201, operation: 'POST /orders' });
    expect(Number(found?.expiresAt) - Number(found?.createdAt)).toBe(DAY_S * 1_000);
    expect(await keys.find(asker('b'), key)).toBeUndefined();
    await age(key, DAY_S);
    expect(await keys.find(asker('a'), key)).toBeUndefined();
  });

  it('R20 a request for the status of a key does not delay others', async () => {
    const keys = shop.app.get(KeyStatusService, { strict: false });
    const asker = { account: 'a', method: 'GET', url: '/', headers: {} };
    const done = new AbortController();
    const asking: string[] = [];
    const ask = async () => {
      while (!done.signal.aborted) await Promise.all(asking.map((key) => keys.find(asker, key)));
    };
    const askers = [ask(), ask()];
    for (let round = 0; round < 50; round += 1) {
      const key = randomUUID();
      asking[0] = key;
      await turn();
      expect((await shop.post('/orders', { amount: 1 }, key)).status).toBe(201);
    }
    done.abort();
    await Promise.all(askers);
    const unknown = randomUUID();
    const found = await Promise.all([1, 2, 3, 4].map(() => keys.find(asker, unknown)));
    expect(found).toEqual([undefined, undefined, undefined, undefined]);
  });

  it.each(['/orders', '/orders/pay'])('R20 %s is running while it runs', async (path) => {
    const key = randomUUID();
    const keys = shop.app.get(KeyStatusService, { strict: false });
    const asker = { account: 'a', method: 'GET', url: '/', headers: {} };
    const held = once(shop.watch, 'held asked');
    const running = shop.post(path, { amount: 1, hold: 'asked' }, key);
    await held;
    expect(await keys.find(asker, key)).toMatchObject({ state: 'running' });
    const stranger = { ...asker, account: 'b' };
    expect(await keys.find(stranger, key)).toBeUndefined();
    shop.watch.release('asked');
    await running;
    expect(await keys.find(asker, key)).toMatchObject({ state: 'finished', status: 201 });
  });

  describe('purging', () => {
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
      const { removed, batches } = await purge();
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
      expect(await rows()).toBe(60);
      expect(await purge()).toMatchObject({ removed: 0, batches: 1 });
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
      const holder = new Client({ connectionString: databaseUrl() });
      await holder.connect();
      try {
        await holder.query('BEGIN');
        await holder.query(
          "SELECT 1 FROM idempotency_keys WHERE key IN ('finished-true-1', 'finished-true-2') FOR UPDATE",
        );
        expect(await purge()).toMatchObject({ removed: 8, batches: 1 });
        await holder.query('ROLLBACK');
        expect(await purge()).toMatchObject({ removed: 2, batches: 1 });
      } finally {
        await holder.end();
      }
    });

    it('R19 two purges at once remove each row once', async () => {
      await insert(2_000, 'finished', true);
      const both = await Promise.all([purge(), purge()]);
      expect(both.reduce((sum, { removed }) => sum + removed, 0)).toBe(2_000);
      expect(await rows()).toBe(0);
    });

    it('R18 a key that is being renewed while it is purged ends as the renewed one', async () => {
      const key = randomUUID();
      await shop.post('/orders', { amount: 1 }, key);
      await age(key, DAY_S);
      const held = once(shop.watch, 'held renewed');
      const renewed = shop.post('/orders', { amount: 2, hold: 'renewed' }, key);
      await held;
      expect(await purge()).toMatchObject({ removed: 1 });
      shop.watch.release('renewed');
      expect((await renewed).status).toBe(201);
      expect(await row(key)).toMatchObject({ status: 201, life: DAY_S });
    });
  });

  describe('the table', () => {
    it('migrates up, down and up again, and the entity maps it', async () => {
      const runner = shop.dataSource.createQueryRunner();
      const migration = new CreateIdempotencyKeys1764000000000();
      const there = () => runner.hasTable('idempotency_keys');
      try {
        await runner.startTransaction();
        await migration.down(runner);
        expect(await there()).toBe(false);
        await migration.up(runner);
        expect(await there()).toBe(true);
        await migration.down(runner);
        await migration.up(runner);
        await runner.commitTransaction();
      } finally {
        await runner.release();
      }
      const key = randomUUID();
      expect((await shop.post('/orders', { amount: 1 }, key)).status).toBe(201);
      const schema = await shop.dataSource.driver.createSchemaBuilder().log();
      expect(schema.upQueries.map(({ query }) => query).filter(ofKeys)).toEqual([]);
    });

    it('refuses a row that is neither finished nor unfinished', async () => {
      const key = randomUUID();
      await shop.post('/orders', { amount: 1 }, key);
      for (const change of ['lease_until = now()', 'status = NULL', 'body = NULL']) {
        await expect(
          shop.dataSource.query(`UPDATE idempotency_keys SET ${change} WHERE key = $1`, [key]),
        ).rejects.toThrow('idempotency_keys_state');
      }
    });

    it('begins its unique key with the account, so that it shards by tenant', async () => {
      const [{ definition }] = await shop.dataSource.query<[{ definition: string }]>(
        "SELECT pg_get_indexdef('idempotency_keys_pkey'::regclass) AS definition",
      );
      expect(definition).toContain('(account, mode, key)');
    });

    it('serves every statement of the store from an index', async () => {
      await shop.dataSource.query('DELETE FROM idempotency_keys');
      await shop.dataSource.query(
        `INSERT INTO idempotency_keys (account, mode, key, claim_id, attempt, operation, fingerprint,
           fingerprint_version, parameters, original_request, status, headers, body, created_at, expires_at)
         SELECT 'a' || n % 50, '', 'k' || n, gen_random_uuid(), 1, 'POST /orders', '\\x00', 1, '{}', 'r',
           201, '{}', '\\x', now(), now() + n % 1000 * interval '1 minute'
         FROM generate_series(1, 20000) AS n`,
      );
      await shop.dataSource.query('ANALYZE idempotency_keys');
      const seen = await statementsOf(async () => {
        const key = randomUUID();
        await shop.post('/orders', { amount: 1 }, key);
        await age(key, DAY_S);
        await shop.post('/orders', { amount: 1 }, key);
        const phased = randomUUID();
        shop.watch.remote = () => Promise.reject(new Error('no result'));
        await shop.post('/orders/pay', { amount: 1 }, phased);
        shop.watch.remote = () => Promise.resolve('approved');
        await shop.post('/orders/pay', { amount: 1 }, phased);
        await purge();
      });
      expect(seen.length).toBeGreaterThanOrEqual(6);
      for (const sql of seen) {
        const plan = await explain(sql);
        expect(plan).toMatch(/Index (Only )?Scan|Bitmap Index Scan/);
        expect(plan).not.toContain('Seq Scan on idempotency_keys');
      }
    });
  });

  const databaseUrl = () => (shop.dataSource.options as { url: string }).url;
  const ofKeys = (query: string) => query.includes('idempotency_keys');

  /** The statements on the table with a condition that `work` makes the clients send. */
  async function statementsOf(work: () => Promise<void>): Promise<string[]> {
    const seen = new Set<string>();
    const spy = jest.spyOn(Client.prototype, 'query');
    await work();
    for (const text of spy.mock.calls.flatMap(([sent]) => textsOf(sent))) {
      const ours = text && ofKeys(text) && !text.includes('created_at = created_at -');
      if (ours && /\bWHERE\b/.test(text) && !text.startsWith('INSERT')) seen.add(text);
    }
    return [...seen];
  }

  /** A statement as pg receives it: alone, or in a batch. */
  function textsOf(sent: unknown): (string | undefined)[] {
    if (typeof sent === 'string') return [sent];
    const { text, statements } = sent as { text?: string; statements?: { text?: string }[] };
    return statements ? statements.map((statement) => statement.text) : [text];
  }

  /** The generic plan, which the server uses for a named statement once it has run a few times. */
  async function explain(sql: string): Promise<string> {
    const lines = await shop.dataSource.query<{ 'QUERY PLAN': string }[]>(
      `EXPLAIN (GENERIC_PLAN) ${sql}`,
    );
    return lines.map((line) => line['QUERY PLAN']).join('\n');
  }
});
