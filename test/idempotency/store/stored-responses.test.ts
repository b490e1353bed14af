/** Responses in PostgreSQL: how a row holds one, and how replays read it where no memory does (R6). */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { DatabaseClock } from '../../../src/idempotency/store/database-clock';
import { PostgresKeyStore } from '../../../src/idempotency/store/postgres/postgres-key.store';
import { removeRow, ResponsesController } from '../responses.fixture';
import { openShop, type Shop } from '../shop.fixture';

const WITHOUT_MEMORY = { controllers: [ResponsesController], options: { replayMemoryBytes: 0 } };

describe('R6 a response in PostgreSQL', () => {
  it('is read for every replay', async () => {
    const shop = await openShop('fastify', WITHOUT_MEMORY);
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
    'is replayed the same, whether it is kept deflated or not: %i characters, random: %p, deflated: %p',
    async (length, random, deflated) => {
      const shop = await openShop('fastify', WITHOUT_MEMORY);
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

  it('is kept with its headers only where there is more than the usual one', async () => {
    const shop = await openShop('fastify', WITHOUT_MEMORY);
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

  it('is looked for with a plain read first, where most requests are replays, and that decides nothing else', async () => {
    const shop = await openShop('fastify', WITHOUT_MEMORY);
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
});

describe('R6 reads of responses in PostgreSQL', () => {
  let shop: Shop;
  let store: PostgresKeyStore;
  const idOf = (key: string) => ({ account: 'a', mode: '', key });

  beforeAll(async () => {
    shop = await openShop('fastify', WITHOUT_MEMORY);
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
