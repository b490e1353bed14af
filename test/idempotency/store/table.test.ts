/** The table of keys: its migration, its constraints, and the indexes that serve every statement. */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { CreateIdempotencyKeys1764000000000 } from '../../../src/idempotency';
import { age, DAY_S, openAgeingShop, purge, removeRows } from '../ageing.fixture';
import type { Shop } from '../shop.fixture';

describe('the table of keys', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openAgeingShop();
  });
  afterAll(() => shop.close());
  beforeEach(() => removeRows(shop));
  afterEach(() => jest.restoreAllMocks());

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
      await age(shop, key, DAY_S);
      await shop.post('/orders', { amount: 1 }, key);
      const phased = randomUUID();
      shop.watch.remote = () => Promise.reject(new Error('no result'));
      await shop.post('/orders/pay', { amount: 1 }, phased);
      shop.watch.remote = () => Promise.resolve('approved');
      await shop.post('/orders/pay', { amount: 1 }, phased);
      await purge(shop);
    });
    expect(seen.length).toBeGreaterThanOrEqual(6);
    for (const sql of seen) {
      const plan = await explain(shop, sql);
      expect(plan).toMatch(/Index (Only )?Scan|Bitmap Index Scan/);
      expect(plan).not.toContain('Seq Scan on idempotency_keys');
    }
  });
});

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
async function explain(shop: Shop, sql: string): Promise<string> {
  const lines = await shop.dataSource.query<{ 'QUERY PLAN': string }[]>(
    `EXPLAIN (GENERIC_PLAN) ${sql}`,
  );
  return lines.map((line) => line['QUERY PLAN']).join('\n');
}
