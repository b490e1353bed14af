/** A shop whose connections to its database can be cut, delayed and swallowed, and a witness that sees the database directly. */
import { eventually } from '../../support/eventually';
import { TcpProxy } from '../../support/tcp-proxy';
import { type Adapter, openShop, type Reply, type Shop, type ShopOptions } from '../shop.fixture';
import {
  databaseUrlOf,
  noConnectionIsLentOut,
  noTransactionIsOpen,
  numberFrom,
  poolOf,
} from '../shop-database.fixture';

/** Every adapter, and both ways to send statements: in one packet, or one after the other. */
export const SETTINGS: readonly [Adapter, pipeline: boolean][] = [
  ['fastify', true],
  ['fastify', false],
  ['express', true],
];

export class FailingDatabase {
  readonly #unhandled: unknown[] = [];
  readonly #note = (reason: unknown): unknown => this.#unhandled.push(reason);

  private constructor(
    readonly witness: Shop,
    readonly proxy: TcpProxy,
    /** Reaches the database through the proxy alone. */
    readonly shop: Shop,
    private readonly reopen: (given: ShopOptions) => Promise<Shop>,
  ) {
    process.on('unhandledRejection', this.#note);
  }

  static async start([adapter, pipeline]: readonly [Adapter, boolean], given: ShopOptions = {}) {
    const witness = await openShop(adapter);
    const proxy = await TcpProxy.to(databaseUrlOf(witness));
    const open = (more: ShopOptions) =>
      openShop(adapter, { databaseUrl: proxy.url, pipeline, poolSize: 4, ...given, ...more });
    return new FailingDatabase(witness, proxy, await open({}), open);
  }

  /** Opens another shop like the first, with these differences. */
  open(given: ShopOptions): Promise<Shop> {
    return this.reopen(given);
  }

  /** Ends the connection of the one transaction that is open, as an administrator would. */
  killOwner(): Promise<number> {
    return numberFrom(
      this.witness,
      `SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'`,
    );
  }

  /** Between two tests: nothing may be left of the first, and the second begins without its connections. */
  async recover(): Promise<void> {
    this.proxy.heal();
    await noConnectionIsLentOut(this.shop);
    await noTransactionIsOpen(this.witness);
    // The next test begins without connections that this one has broken, or is only about to break.
    this.proxy.cut();
    await eventually('the pool is empty', () => poolOf(this.shop).totalCount === 0);
    expect(this.#unhandled.splice(0)).toEqual([]);
  }

  async stop(): Promise<void> {
    await this.shop.close();
    await this.proxy.close();
    await this.witness.close();
    process.off('unhandledRejection', this.#note);
  }
}

/** Expires the lease. */
export async function endLease(witness: Shop, key: string): Promise<void> {
  await witness.dataSource.query(
    'UPDATE idempotency_keys SET lease_until = now() WHERE key = $1 AND status IS NULL',
    [key],
  );
}

/** Nothing was done, and the client may try again. */
export function expectUnavailable(reply: Reply): void {
  expect([reply.status, reply.json['code']]).toEqual([503, 'idempotency_store_unavailable']);
  expect(reply.headers.get('retry-after')).toBe('1');
  expect(reply.headers.get('stripe-should-retry')).toBe('true');
}
