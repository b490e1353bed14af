/** Half-open connections are replaced early, also where a statement may take minutes. */
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

  it('are all replaced as soon as one is found, long before a statement times out', async () => {
    // Fills the pool.
    const before = await Promise.all(Array.from({ length: 2 * POOL_SIZE }, create));
    expect(new Set(before.map(({ status }) => status))).toEqual(new Set([200]));
    proxy.halfOpen();
    let refused = 0;
    for (;;) {
      const res = await create();
      if (res.status === 200) break;
      expect(res.status).toBe(503);
      expect(res.headers.get('retry-after')).not.toBeNull();
      refused += 1;
    }
    // If they were found one by one, each would cost a request.
    expect(refused).toBeLessThan(POOL_SIZE / 2);
  });
});
