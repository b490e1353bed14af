/** R19: the purge on a timer of its own. */
import { randomUUID } from 'node:crypto';
import { eventually } from '../../support/eventually';
import { openShop } from '../shop.fixture';

it('R19 the purge runs by itself, and removes what has expired alone', async () => {
  const shop = await openShop('fastify', { options: { purgeIntervalMs: 20 } });
  const [expired, alive] = [randomUUID(), randomUUID()];
  for (const key of [expired, alive]) await shop.post('/orders', { amount: 1 }, key);
  await shop.dataSource.query('UPDATE idempotency_keys SET expires_at = now() WHERE key = $1', [
    expired,
  ]);
  const keys = async () =>
    (await shop.dataSource.query<{ key: string }[]>('SELECT key FROM idempotency_keys')).map(
      ({ key }) => key,
    );
  await eventually('it is removed', async () => !(await keys()).includes(expired));
  expect(await keys()).toEqual([alive]);
  await shop.close();
});
