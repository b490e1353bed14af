/** Atomic operations: the handler's writes and its response are committed together. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type Adapter, openShop, Order, type Shop } from '../shop.fixture';

describe.each<Adapter>(['fastify', 'express'])('atomic operations on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop(adapter);
  });
  afterAll(() => shop.close());
  const orders = () => shop.dataSource.getRepository(Order).count();
  const keys = (key: string) =>
    shop.dataSource.query<unknown[]>('SELECT * FROM idempotency_keys WHERE key = $1', [key]);

  it('R6 R15 R17 a replay has the same status and bytes, names the original and is marked as a replay', async () => {
    const key = randomUUID();
    const before = await orders();
    const first = await shop.post('/orders', { amount: 5 }, key);
    const second = await shop.post('/orders', { amount: 5 }, key);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.text).toBe(first.text);
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    for (const { headers } of [first, second]) {
      expect(headers.get('idempotency-key')).toBe(key);
      expect(headers.get('original-request')).toBe(first.headers.get('request-id'));
      expect(headers.get('stripe-should-retry')).toBe('false');
    }
    expect(second.headers.get('request-id')).not.toBe(first.headers.get('request-id'));
    expect(await orders()).toBe(before + 1);
  });

  it('R7 a key used for another request is refused by name of what differs, and nothing runs', async () => {
    const key = randomUUID();
    const first = await shop.post('/orders', { amount: 5 }, key);
    const { runs } = shop.watch;
    const reply = await shop.post('/orders', { amount: 6, note: 'x' }, key);
    expect(reply.status).toBe(422);
    expect(reply.headers.get('content-type')).toContain('application/problem+json');
    expect(reply.json['code']).toBe('idempotency_key_reused');
    expect(reply.json['detail']).toContain('amount, note');
    expect(reply.json['detail']).toContain(first.headers.get('request-id'));
    expect(reply.headers.get('original-request')).toBe(first.headers.get('request-id'));
    const elsewhere = await shop.post('/orders/many', { amount: 5 }, key);
    expect(elsewhere.json['detail']).toContain('POST /orders');
    expect(shop.watch.runs).toBe(runs);
  });

  it('R8 a copy that comes while the first runs gets 409 and is told to retry', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held busy');
    const first = shop.post('/orders', { amount: 7, hold: 'busy' }, key);
    await held;
    const copy = await shop.post('/orders', { amount: 7, hold: 'busy' }, key);
    shop.watch.release('busy');
    expect(copy.status).toBe(409);
    expect(copy.json['code']).toBe('idempotency_key_in_use');
    expect(copy.headers.get('retry-after')).toBe('1');
    expect(copy.headers.get('stripe-should-retry')).toBe('true');
    expect((await first).status).toBe(201);
  });

  it('R9 all writes of the handler, made in any way, commit or roll back with the key', async () => {
    const key = randomUUID();
    const before = await orders();
    const failed = await shop.post('/orders/many', { amount: 1, fail: 500 }, key);
    expect(failed.status).toBe(500);
    expect(await orders()).toBe(before);
    expect(await keys(key)).toEqual([]);
    const done = await shop.post('/orders/many', { amount: 1 }, key);
    expect(done.json).toEqual({ count: before + 5 });
    expect(await orders()).toBe(before + 5);
  });

  it('R9 writes of a handler are not visible before its commit', async () => {
    const before = await orders();
    const held = once(shop.watch, 'held unseen');
    const running = shop.post('/orders/many', { amount: 1, hold: 'unseen' }, randomUUID());
    await held;
    expect(await orders()).toBe(before);
    shop.watch.release('unseen');
    await running;
    expect(await orders()).toBe(before + 5);
  });

  it.each([400, 402, 404, 409, 422])(
    'R13 a %d that the handler throws is stored, and its writes are undone',
    async (status) => {
      const key = randomUUID();
      const before = await orders();
      const first = await shop.post('/orders', { amount: 1, fail: status }, key);
      const second = await shop.post('/orders', { amount: 1, fail: status }, key);
      expect(first.status).toBe(status);
      expect(second.status).toBe(status);
      expect(second.text).toBe(first.text);
      expect(second.headers.get('idempotent-replayed')).toBe('true');
      expect(second.headers.get('stripe-should-retry')).toBe('false');
      expect(await orders()).toBe(before);
    },
  );

  it('R13 a 4xx that the handler returns is stored, and its writes are undone', async () => {
    const key = randomUUID();
    const before = await orders();
    const first = await shop.post('/orders', { amount: 1, status: 422 }, key);
    const second = await shop.post('/orders', { amount: 1, status: 422 }, key);
    expect([first.status, second.status]).toEqual([422, 422]);
    expect(second.text).toBe(first.text);
    expect(await orders()).toBe(before);
  });

  it.each([408, 425, 429, 500, 503])(
    'R13 R14 a %d is not stored: the same key runs again',
    async (status) => {
      const key = randomUUID();
      const { runs } = shop.watch;
      const first = await shop.post('/orders', { amount: 1, fail: status }, key);
      expect(first.status).toBe(status);
      expect(first.headers.get('stripe-should-retry')).toBe('true');
      expect(await keys(key)).toEqual([]);
      await shop.post('/orders', { amount: 1, fail: status }, key);
      expect(shop.watch.runs).toBe(runs + 2);
    },
  );

  it('R13 an error marked retryable is not stored', async () => {
    const key = randomUUID();
    const body = { amount: 1, fail: 409, retryable: true };
    const first = await shop.post('/orders', body, key);
    expect(first.status).toBe(409);
    expect(first.headers.get('stripe-should-retry')).toBe('true');
    expect(await keys(key)).toEqual([]);
  });

  it('R2 where a key is optional, the handler runs without one, its writes still in one transaction', async () => {
    const before = await orders();
    expect((await shop.post('/orders', { amount: 1 })).status).toBe(201);
    expect((await shop.post('/orders', { amount: 1 })).status).toBe(201);
    expect((await shop.post('/orders/many', { amount: 1, fail: 400 })).status).toBe(400);
    expect(await orders()).toBe(before + 2);
  });

  it('R2 a required key that is missing is refused with a sentence that says why', async () => {
    const reply = await shop.post('/orders/required/x', {});
    expect(reply.status).toBe(400);
    expect(reply.json['code']).toBe('idempotency_key_missing');
    expect(reply.json['detail']).toMatch(/Make a new key/);
  });

  it('R1 a malformed key is refused before anything runs', async () => {
    const { runs } = shop.watch;
    for (const key of ['', '"unclosed', 'x'.repeat(256), '""']) {
      const reply = await shop.post('/orders', { amount: 1 }, key);
      expect([reply.status, reply.json['code']]).toEqual([400, 'idempotency_key_invalid']);
    }
    expect(shop.watch.runs).toBe(runs);
  });

  it('R1 a quoted key and the same key bare are one', async () => {
    const key = randomUUID();
    const first = await shop.post('/orders', { amount: 1 }, `"${key}"`);
    const second = await shop.post('/orders', { amount: 1 }, key);
    expect(second.text).toBe(first.text);
  });

  it('R3 the same key and body of two accounts are two operations', async () => {
    const key = randomUUID();
    const first = await shop.post('/orders', { amount: 1 }, key);
    const second = await shop.post('/orders', { amount: 1 }, key, { authorization: 'b' });
    expect(second.headers.get('idempotent-replayed')).toBeNull();
    expect(second.json['id']).not.toBe(first.json['id']);
  });

  it('R7 a header takes part in the fingerprint only where the endpoint names it', async () => {
    const key = randomUUID();
    await shop.post('/orders/required/x', {}, key, { 'x-version': '1', 'x-trace': '1' });
    const same = await shop.post('/orders/required/x', {}, key, {
      'x-version': '1',
      'x-trace': '2',
    });
    expect(same.headers.get('idempotent-replayed')).toBe('true');
    const other = await shop.post('/orders/required/x', {}, key, { 'x-version': '2' });
    expect(other.status).toBe(422);
    expect(other.json['detail']).toContain('(header x-version)');
  });

  it('R7 the actual path is part of the request, not only its route', async () => {
    const key = randomUUID();
    await shop.post('/orders/required/x', {}, key);
    const other = await shop.post('/orders/required/y', {}, key);
    expect(other.status).toBe(422);
    expect(other.json['detail']).toContain('(path)');
  });
});
