/** `@Idempotent()` works on every handler that NestJS can route to, and leaves the others alone (R2, R6, R7). */
import { randomUUID } from 'node:crypto';
import type { Adapter, Shop } from '../shop.fixture';
import {
  countKeys,
  noConnectionIsLentOut,
  noTransactionIsOpen,
  numberFrom,
} from '../shop-database.fixture';
import { Client } from './client.fixture';
import { DerivedController, PerRequest, ScopedController } from './controllers.fixture';
import { openEnhancedShop } from './enhanced-shop.fixture';

describe.each<Adapter>(['fastify', 'express'])('a decorated handler on %s', (adapter) => {
  let shop: Shop;
  let client: Client;
  beforeAll(async () => {
    shop = await openEnhancedShop(adapter, {
      controllers: [DerivedController, ScopedController],
      providers: [PerRequest],
    });
    client = new Client(shop);
  });
  afterAll(() => shop.close());
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  it('keeps the metadata of decorators above and below it, the name and the parameters', async () => {
    const [first] = await client.sendTwice('/shapes/decorated', { headers: { 'x-seen': 'yes' } });
    expect(JSON.parse(first.text)).toEqual({
      above: 1,
      below: 2,
      name: 'decorated',
      seen: 'yes',
    });
  });

  it('works on inherited methods, and on overridden ones that call the inherited', async () => {
    const [first] = await client.sendTwice('/shapes/inherited', { body: { amount: 3 } });
    expect(JSON.parse(first.text)).toMatchObject({ account: 'DerivedController', amount: 3 });
    const [second] = await client.sendTwice('/shapes/overridden', { body: { amount: 3 } });
    expect(JSON.parse(second.text)).toMatchObject({ by: 'child', amount: 3 });
  });

  it('works in request-scoped controllers, made anew for each request', async () => {
    const { made } = PerRequest;
    const [first] = await client.sendTwice('/scoped');
    expect(JSON.parse(first.text)).toEqual({ made: made + 1 });
    const [refused] = await client.sendTwice('/scoped', { body: { fail: true } });
    expect(refused.status).toBe(400);
    expect(
      await numberFrom(shop, "SELECT count(*)::int AS n FROM orders WHERE account = 'scoped'"),
    ).toBe(1);
    await shop.dataSource.query("DELETE FROM orders WHERE account = 'scoped'");
  });

  it('R7 what the handler does to the body is not part of the request', async () => {
    const [first] = await client.sendTwice('/shapes/mutates', { body: { tags: ['a'] } });
    expect(JSON.parse(first.text)).toMatchObject({ body: { tags: ['a', 'added'] } });
  });

  it.each(['PUT', 'PATCH', 'DELETE'])('R6 %s is replayed', async (method) => {
    const [first] = await client.sendTwice('/shapes/verb', { method });
    expect(JSON.parse(first.text)).toEqual({ verb: method.toLowerCase() });
  });

  it.each([
    ['GET', '/shapes/safe'],
    ['HEAD', '/shapes/safe'],
    ['HEAD', '/shapes/safe-head'],
    ['OPTIONS', '/shapes/safe'],
    ['POST', '/shapes/undecorated'],
  ])('R2 %s %s ignores the header', async (method, path) => {
    const key = randomUUID();
    const { runs } = shop.watch;
    for (const sentKey of [key, key, '"malformed']) {
      const sent = await client.send(path, sentKey, { method });
      expect(sent.status).toBeLessThan(300);
      expect(sent.headers.get('idempotency-key')).toBeNull();
    }
    expect(shop.watch.runs).toBe(runs + 3);
    expect(await countKeys(shop, key)).toBe(0);
  });
});
