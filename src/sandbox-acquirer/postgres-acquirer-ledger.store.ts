/** The acquirer ledger in PostgreSQL, for the acquirer inside the server's process. */
import { Pool, type PoolClient } from 'pg';
import type { AcquirerLedger, AcquirerLedgerEntry, KeyedOrder } from './acquirer-ledger';
import type { OrderResult } from './order-result';
import {
  type AcquirerOrder,
  type AcquirerPayment,
  decideOrder,
  isSameOrder,
  type OrderDecision,
  RemoteKeyConflictError,
} from './rules';

/** Any number, the same in every process that creates the schema. */
const SCHEMA_LOCK = 7_261_004;

/** Enough to be no bottleneck of its callers. */
const MAX_CONNECTIONS = 4;

/** The primary key of `operations` allows one effect for one (merchant, remote key), while the row stays. */
const SCHEMA = `
  CREATE SCHEMA IF NOT EXISTS acquirer;
  CREATE TABLE IF NOT EXISTS acquirer.payments (
    merchant text NOT NULL,
    reference text NOT NULL,
    currency text NOT NULL,
    authorized bigint NOT NULL,
    captured bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    open boolean NOT NULL,
    PRIMARY KEY (merchant, reference),
    CHECK (captured <= authorized AND refunded <= captured)
  );
  CREATE TABLE IF NOT EXISTS acquirer.operations (
    merchant text NOT NULL,
    remote_key text NOT NULL,
    kind text NOT NULL,
    payment text NOT NULL,
    amount bigint NOT NULL,
    currency text,
    answer jsonb,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (merchant, remote_key)
  );
  ALTER TABLE acquirer.operations
    ADD COLUMN IF NOT EXISTS card text, ADD COLUMN IF NOT EXISTS capture boolean;`;

/**
 * Has a schema and connections of its own, so that it behaves like another company's: no transaction of a
 * caller reaches into it.
 */
export class PostgresAcquirerLedger implements AcquirerLedger {
  private readonly pool: Pool;

  constructor(url: string) {
    this.pool = new Pool({
      connectionString: url,
      max: MAX_CONNECTIONS,
      application_name: 'sandbox-acquirer',
    });
    // The next call replaces a broken connection. Without a listener its error would end the process.
    this.pool.on('error', () => undefined);
    this.pool.on('connect', (client) => client.on('error', () => undefined));
  }

  /** Creates what is missing. Safe while other processes do the same. */
  async createSchema(): Promise<void> {
    await this.transaction(async (client) => {
      await client.query('SELECT pg_advisory_xact_lock($1)', [SCHEMA_LOCK]);
      await client.query(SCHEMA);
    });
  }

  /**
   * The primary key lets one of several duplicates in. A payment changes under its row lock; a new one is
   * written by one statement, which is a transaction of its own.
   */
  async executeOnce(
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder,
  ): Promise<OrderResult> {
    const keyed = { merchant, remoteKey, order };
    const execute = async (client: Pool | PoolClient, payment?: AcquirerPayment) => {
      const decision = decideOrder(order, payment);
      const isNew = await insertOrder(client, keyed, decision);
      return isNew ? decision.result : firstResult(client, keyed);
    };
    if (order.kind === 'charge') return execute(this.pool);
    return this.transaction(async (client) =>
      execute(client, await lockPayment(client, merchant, order.payment)),
    );
  }

  async lookUp(merchant: string, remoteKey: string): Promise<OrderResult | undefined> {
    const { rows } = await this.pool.query<{ result: OrderResult }>(
      `SELECT answer AS result FROM acquirer.operations
       WHERE merchant = $1 AND remote_key = $2`,
      [merchant, remoteKey],
    );
    return rows[0]?.result;
  }

  async balance(merchant: string, currency: string): Promise<number> {
    const { rows } = await this.pool.query<{ balance: string }>(
      `SELECT COALESCE(sum(captured - refunded), 0) AS balance FROM acquirer.payments
       WHERE merchant = $1 AND currency = $2`,
      [merchant, currency],
    );
    return Number(rows[0]?.balance);
  }

  async entries(merchant: string): Promise<AcquirerLedgerEntry[]> {
    const { rows } = await this.pool.query<AcquirerLedgerEntry & { amount: string }>(
      `SELECT kind, payment, amount, remote_key AS "remoteKey" FROM acquirer.operations
       WHERE merchant = $1 AND answer ->> 'outcome' = 'approved' ORDER BY created`,
      [merchant],
    );
    return rows.map((row) => ({ ...row, amount: Number(row.amount) }));
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let broken = true;
    try {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      broken = false;
      return result;
    } catch (error) {
      // A connection whose rollback fails is closed.
      broken = await client.query('ROLLBACK').then(
        () => false,
        () => true,
      );
      throw error;
    } finally {
      client.release(broken);
    }
  }
}

/** Locks a payment: it stays as it is until the transaction ends. */
async function lockPayment(
  client: PoolClient,
  merchant: string,
  payment: string,
): Promise<AcquirerPayment | undefined> {
  const { rows } = await client.query<Record<keyof AcquirerPayment, string> & { open: boolean }>(
    `SELECT currency, authorized, captured, refunded, open FROM acquirer.payments
     WHERE merchant = $1 AND reference = $2 FOR UPDATE`,
    [merchant, payment],
  );
  return rows.map(({ currency, authorized, captured, refunded, open }) => ({
    currency,
    authorized: Number(authorized),
    captured: Number(captured),
    refunded: Number(refunded),
    open,
  }))[0];
}

/** Inserts an order and the payment after it, unless the remote key is there already. */
const INSERT_ORDER = `
  WITH recorded AS (
    INSERT INTO acquirer.operations
      (merchant, remote_key, kind, payment, amount, currency, card, capture, answer)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING merchant
  ), written AS (
    INSERT INTO acquirer.payments
      (merchant, reference, currency, authorized, captured, refunded, open)
    SELECT merchant, $10, $11, $12, $13, $14, $15 FROM recorded WHERE $10::text IS NOT NULL
    ON CONFLICT (merchant, reference) DO UPDATE
      SET captured = excluded.captured, refunded = excluded.refunded, open = excluded.open
  )
  SELECT merchant FROM recorded`;

/**
 * Returns false where the remote key is there already. A duplicate waits here until the first has
 * committed.
 */
async function insertOrder(
  client: Pool | PoolClient,
  { merchant, remoteKey, order }: KeyedOrder,
  { payment: name, result, paymentAfter: after }: OrderDecision,
): Promise<boolean> {
  const { kind, amount } = order;
  const { currency, card, capture } =
    order.kind === 'charge' ? order : { currency: null, card: null, capture: null };
  const { rowCount } = await client.query({
    name: 'acquirer_record',
    text: INSERT_ORDER,
    values: [
      merchant,
      remoteKey,
      kind,
      name,
      amount,
      currency,
      card,
      capture,
      JSON.stringify(result),
      ...(after
        ? [name, after.currency, after.authorized, after.captured, after.refunded, after.open]
        : [null, null, null, null, null, null]),
    ],
  });
  return rowCount === 1;
}

/**
 * The result of the order that used this remote key first.
 * @throws RemoteKeyConflictError where that was another order
 */
async function firstResult(
  client: Pool | PoolClient,
  { merchant, remoteKey, order }: KeyedOrder,
): Promise<OrderResult> {
  const { rows } = await client.query<AcquirerOrder & { amount: string; result: OrderResult }>(
    `SELECT kind, payment, amount, currency, card, capture, answer AS result
     FROM acquirer.operations
     WHERE merchant = $1 AND remote_key = $2`,
    [merchant, remoteKey],
  );
  const row = rows[0];
  if (!row || !isSameOrder({ ...row, amount: Number(row.amount) }, order)) {
    throw new RemoteKeyConflictError(remoteKey);
  }
  return row.result;
}
