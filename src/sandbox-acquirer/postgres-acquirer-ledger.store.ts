import { Pool, type PoolClient } from 'pg';
import type { AcquirerLedger, AcquirerLedgerEntry } from './acquirer-ledger';
import {
  decideOrder,
  type OrderDecision,
  type AcquirerPayment,
  type AcquirerOrder,
  RemoteKeyConflictError,
  sameOrder,
} from './rules';
import type { OrderResult } from './order-result';

/** Any constant will do; it must only be the same in every process that creates the schema. */
const SCHEMA_LOCK = 7_261_004;

/** It is not the bottleneck of who calls it. */
const CONNECTIONS = 4;

/** The key guards `(merchant, remote_key)`: one effect for one of them, for as long as the row stays. */
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
 * The books in PostgreSQL, in a schema of their own and over connections of their own, so that they
 * behave like another company's: no transaction of a caller ever reaches in here.
 */
export class PostgresAcquirerLedger implements AcquirerLedger {
  private readonly pool: Pool;

  constructor(url: string) {
    this.pool = new Pool({
      connectionString: url,
      max: CONNECTIONS,
      application_name: 'sandbox-acquirer',
    });
    // A connection that breaks is replaced by the next call; unheard, it would end the process.
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
   * Of duplicates, the primary key lets one in. A payment changes under its row lock; a new one is
   * written in one statement, which is a transaction of its own.
   */
  async executeOnce(
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder,
  ): Promise<OrderResult> {
    const enter = async (client: Pool | PoolClient, held?: AcquirerPayment) => {
      const decision = decideOrder(order, held);
      const entered = await record(client, merchant, remoteKey, order, decision);
      return entered ? decision.result : remembered(client, merchant, remoteKey, order);
    };
    if (order.kind === 'charge') return enter(this.pool);
    return this.transaction(async (client) =>
      enter(client, await hold(client, merchant, order.payment)),
    );
  }

  async lookUp(merchant: string, remoteKey: string): Promise<OrderResult | undefined> {
    const { rows } = await this.pool.query<{ answer: OrderResult }>(
      'SELECT answer FROM acquirer.operations WHERE merchant = $1 AND remote_key = $2',
      [merchant, remoteKey],
    );
    return rows[0]?.answer;
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
      // Where even the rollback fails the connection is of no more use.
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

/** A payment as it stands, and as it stays until this transaction ends. */
async function hold(
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

/** What an order does to a payment, unless its remote key was there before. */
const RECORD = `
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

/** False where the remote key was there before. A duplicate waits here until the first has committed. */
async function record(
  client: Pool | PoolClient,
  merchant: string,
  remoteKey: string,
  order: AcquirerOrder,
  { payment, result: answer, paymentAfter: held }: OrderDecision,
): Promise<boolean> {
  const { kind, amount } = order;
  const { currency, card, capture } =
    order.kind === 'charge' ? order : { currency: null, card: null, capture: null };
  const { rowCount } = await client.query({
    name: 'acquirer_record',
    text: RECORD,
    values: [
      merchant,
      remoteKey,
      kind,
      payment,
      amount,
      currency,
      card,
      capture,
      JSON.stringify(answer),
      ...(held
        ? [payment, held.currency, held.authorized, held.captured, held.refunded, held.open]
        : [null, null, null, null, null, null]),
    ],
  });
  return rowCount === 1;
}

async function remembered(
  client: Pool | PoolClient,
  merchant: string,
  remoteKey: string,
  asked: AcquirerOrder,
): Promise<OrderResult> {
  const { rows } = await client.query<AcquirerOrder & { amount: string; answer: OrderResult }>(
    `SELECT kind, payment, amount, currency, card, capture, answer FROM acquirer.operations
     WHERE merchant = $1 AND remote_key = $2`,
    [merchant, remoteKey],
  );
  const row = rows[0];
  if (!row || !sameOrder({ ...row, amount: Number(row.amount) }, asked)) {
    throw new RemoteKeyConflictError(remoteKey);
  }
  return row.answer;
}
