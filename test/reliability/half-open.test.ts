/** Connections whose other end is gone without a word, where a statement may take minutes. */
import { randomUUID } from 'node:crypto';
import { type RunningApp, startApp } from '../support/app';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { TcpProxy } from '../support/tcp-proxy';

/** How many connections the pool holds by default. */
const POOL_SIZE = 8;

describe('connections to PostgreSQL that are half open', () => {
  let database: FreshDatabase;
  let proxy: TcpProxy;
  let app: RunningApp;
  beforeAll(async () => {
    database = await freshDatabase();
    proxy = await TcpProxy.to(database.url);
    app = await startApp({ databaseUrl: proxy.url });
  });
  afterAll(async () => {
    await app.close();
    await proxy.close();
    await database.drop();
  });

  const create = () =>
    fetch(`${app.url}/v1/customers`, {
      method: 'POST',
      headers: { authorization: `Bearer ${app.apiKey}`, 'idempotency-key': randomUUID() },
    });

  it('are found and replaced, all with the first one, long before a statement may be given up', async () => {
    // As many as the pool holds.
    const before = await Promise.all(Array.from({ length: 2 * POOL_SIZE }, create));
    expect(new Set(before.map(({ status }) => status))).toEqual(new Set([200]));
    proxy.halfOpen();
    let refused = 0;
    for (;;) {
      const answer = await create();
      if (answer.status === 200) break;
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).not.toBeNull();
      refused += 1;
    }
    // Were they found one after the other, each would cost a request.
    expect(refused).toBeLessThan(POOL_SIZE / 2);
  });
});
