/** A server that has become read-only, as after a failover, is a lost connection (R13a). */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { type Adapter, openShop, type Shop } from '../shop.fixture';
import {
  countKeys,
  countOrders,
  noConnectionIsLentOut,
  noTransactionIsOpen,
  poolOf,
} from '../shop-database.fixture';

const POOL_SIZE = 4;

describe.each<Adapter>(['fastify', 'express'])('a read-only server on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop(adapter, { poolSize: POOL_SIZE });
  });
  afterAll(() => shop.close());
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  /** Makes every connection of the pool one to a standby. New ones lead to the server that takes writes. */
  const demote = async (): Promise<Set<PoolClient>> => {
    const pool = poolOf(shop);
    const clients = await Promise.all(Array.from({ length: POOL_SIZE }, () => pool.connect()));
    for (const client of clients) await client.query('SET default_transaction_read_only = on');
    for (const client of clients) client.release();
    return new Set(clients);
  };
  /** Which of them the pool still lends. */
  const stillLent = async (clients: Set<PoolClient>): Promise<number> => {
    const pool = poolOf(shop);
    const lent = await Promise.all(Array.from({ length: POOL_SIZE }, () => pool.connect()));
    for (const client of lent) client.release();
    return lent.filter((client) => clients.has(client)).length;
  };

  it('R13a refuses a write with 503, drops that connection and the idle ones, and the retry runs', async () => {
    const key = randomUUID();
    const before = await countOrders(shop);
    const standby = await demote();
    const refused = await shop.post('/orders', { amount: 1 }, key);
    expect([refused.status, refused.json['code']]).toEqual([503, 'idempotency_store_unavailable']);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await stillLent(standby)).toBe(0);
    const again = await shop.post('/orders', { amount: 1 }, key);
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, null]);
    expect(await countOrders(shop)).toBe(before + 1);
  });

  it('R13a refuses where only the response is to be written, and nothing is in doubt', async () => {
    const key = randomUUID();
    await demote();
    const refused = await shop.post('/orders/required/x', {}, key);
    expect([refused.status, refused.json['code']]).toEqual([503, 'idempotency_store_unavailable']);
    expect(await countKeys(shop, key)).toBe(0);
    expect((await shop.post('/orders/required/x', {}, key)).status).toBe(201);
  });

  it('R13a between two phases: the retry goes on with the same remote key', async () => {
    const key = randomUUID();
    shop.watch.remote = async () => {
      await demote();
      return 'approved';
    };
    const refused = await shop.post('/orders/pay', { amount: 1 }, key);
    expect([refused.status, refused.json['code']]).toEqual([503, 'idempotency_outcome_unknown']);
    // The lease could not be ended on a standby: it runs out.
    await shop.dataSource.query('UPDATE idempotency_keys SET lease_until = now() WHERE key = $1', [
      key,
    ]);
    shop.watch.remote = () => Promise.resolve('approved');
    expect((await shop.post('/orders/pay', { amount: 1 }, key)).status).toBe(201);
    expect(new Set(shop.watch.remoteCalls).size).toBe(1);
  });

  it('an endpoint without a decorator does not keep the connection, either', async () => {
    const standby = await demote();
    expect((await shop.post('/orders/plain', { amount: 1 })).status).toBe(500);
    expect(await stillLent(standby)).toBe(0);
    expect((await shop.post('/orders/plain', { amount: 1 })).status).toBe(201);
  });
});
