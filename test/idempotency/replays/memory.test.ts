/** Replays from the memory of a process save the read of a row, and decide nothing (R5, R6). */
import { randomUUID } from 'node:crypto';
import { Body, Controller, Post } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Idempotent } from '../../../src/idempotency';
import { DatabaseClock } from '../../../src/idempotency/store/database-clock';
import { removeRow, ResponsesController } from '../responses.fixture';
import { type Adapter, openShop, type OrderBody, type Shop, Watch } from '../shop.fixture';
import { databaseUrlOf } from '../shop-database.fixture';

@Controller('responses')
class FailingController {
  constructor(
    private readonly watch: Watch,
    private readonly dataSource: DataSource,
  ) {}

  /** Its commit fails: a constraint that is checked only then. */
  @Post('failing')
  @Idempotent()
  async failing(@Body() { amount }: OrderBody) {
    this.watch.runs += 1;
    await this.dataSource.query('INSERT INTO only_even (amount) VALUES ($1)', [amount]);
    return { amount };
  }
}

describe.each<Adapter>(['fastify', 'express'])('R6 replays from memory on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop(adapter, { controllers: [FailingController] });
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
    shop = await openShop('fastify', { controllers: [ResponsesController] });
    const databaseUrl = databaseUrlOf(shop);
    other = await openShop('fastify', { controllers: [ResponsesController], databaseUrl });
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
