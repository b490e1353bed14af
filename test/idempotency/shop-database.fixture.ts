/** What a test sees of a shop's database and of its pool, past the module under test. */
import type { Pool } from 'pg';
import { eventually } from '../support/eventually';
import { Order, type Shop } from './shop.fixture';

export const poolOf = (shop: Shop): Pool =>
  (shop.dataSource.driver as unknown as { master: Pool }).master;

/** For another shop on the same database. */
export const databaseUrlOf = (shop: Shop): string =>
  (shop.dataSource.options as { url: string }).url;

/** The column `n` of the one row that a statement returns. */
export async function numberFrom(
  shop: Shop,
  sql: string,
  values: readonly unknown[] = [],
): Promise<number> {
  const [{ n }] = await shop.dataSource.query<[{ n: number }]>(sql, [...values]);
  return n;
}

export const countOrders = (shop: Shop): Promise<number> =>
  shop.dataSource.getRepository(Order).count();

/** How many accounts have a row of this key. */
export const countKeys = (shop: Shop, key: string): Promise<number> =>
  numberFrom(shop, 'SELECT count(*)::int AS n FROM idempotency_keys WHERE key = $1', [key]);

/** How many transactions are open and wait for their process, failed ones included. */
export const countOpenTransactions = (shop: Shop): Promise<number> =>
  numberFrom(
    shop,
    `SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE datname = current_database() AND state LIKE 'idle in transaction%'`,
  );

export async function noTransactionIsOpen(shop: Shop): Promise<void> {
  await eventually(
    'every transaction is over',
    async () => (await countOpenTransactions(shop)) === 0,
  );
}

export async function noConnectionIsLentOut(shop: Shop): Promise<void> {
  await eventually('no connection is lent out', () => {
    const { totalCount, idleCount, waitingCount } = poolOf(shop);
    return idleCount === totalCount && waitingCount === 0;
  });
}
