/** What a handler returns beside plain values: streams and files, which cannot be stored, and observables (R9, R15, R16). */
import type { Adapter, Shop } from '../shop.fixture';
import { countOrders, noConnectionIsLentOut, noTransactionIsOpen } from '../shop-database.fixture';
import { Client } from './client.fixture';
import { openEnhancedShop } from './enhanced-shop.fixture';
import { ReturningController } from './handler-results.fixture';

describe.each<Adapter>(['fastify', 'express'])(
  'a handler that returns what is not a plain value, on %s',
  (adapter) => {
    let shop: Shop;
    let client: Client;
    beforeAll(async () => {
      shop = await openEnhancedShop(adapter, { controllers: [ReturningController] });
      client = new Client(shop);
    });
    afterAll(() => shop.close());
    afterEach(async () => {
      await noTransactionIsOpen(shop);
      await noConnectionIsLentOut(shop);
    });

    it.each([
      '/results/file',
      '/results/stream/node',
      '/results/stream/web',
      '/results/stream/response',
      '/results/stream/generator',
      '/results/empty',
    ])('R16 %s is a clear 500, with nothing committed and the key free', async (path) => {
      const first = await client.sendAndFindTheKeyFree(path);
      expect(first.status).toBe(500);
      expect(JSON.parse(first.text)).toMatchObject({ code: 'idempotency_response_unstorable' });
      expect(first.headers.get('stripe-should-retry')).toBe('false');
    });

    it('R9 what the handler’s observable writes once it is subscribed to is in the transaction', async () => {
      const before = await countOrders(shop);
      const [first] = await client.sendTwice('/results/observable-fails');
      expect(first.status).toBe(400);
      expect(await countOrders(shop)).toBe(before);
    });

    it('R15 the last value of an observable is the response, as without a key', async () => {
      const [first] = await client.sendTwice('/results/values');
      expect(first.text).toBe('{"value":3}');
      expect((await client.send('/results/values')).text).toBe('{"value":3}');
      const [written] = await client.sendTwice('/results/several');
      expect(JSON.parse(written.text)).toMatchObject({ last: true });
    });
  },
);
