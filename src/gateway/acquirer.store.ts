import { Pool, type PoolClient } from 'pg';
import type { KnownOutcome } from './gateway';

/** What is remembered of one remote key: what was asked, so that a misuse shows, and what came of it. */
export interface Operation {
  readonly merchant: string;
  readonly remoteKey: string;
  readonly kind: 'charge' | 'capture' | 'refund' | 'cancel';
  /** The payment it is about. */
  readonly payment: string;
  readonly amount: number;
  /** Null for operations on a payment, which has its own. */
  readonly currency: string | null;
}

/** One line of the acquirer's books: an operation that was approved. */
export interface LedgerEntry {
  readonly kind: Operation['kind'];
  readonly payment: string;
  readonly amount: number;
  readonly remoteKey: string;
}

/** A remote key came again with another order. The caller has a bug: nothing was done. */
export class RemoteKeyConflictError extends Error {
  override readonly name = 'RemoteKeyConflictError';

  constructor(remoteKey: string) {
    super(`Remote key ${remoteKey} was used before for another order. Nothing was done.`);
  }
}

/** Any constant will do; it must only be the same in every process that creates the schema. */
const SCHEMA_LOCK = 7_261_004;

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
  );`;

/** The steps of one operation, inside its transaction. Each tells whether the books allowed it. */
export interface Books {
  open(currency: string, amount: number, capture: boolean): Promise<void>;
  capture(amount: number): Promise<boolean>;
  refund(amount: number): Promise<boolean>;
  release(): Promise<boolean>;
}

/**
 * The sandbox acquirer's own books, in a schema of their own and over connections of their own, so
 * that they behave like another company's: no transaction of a caller ever reaches in here.
 */
export class AcquirerStore {
  private readonly pool: Pool;

  constructor(url: string) {
    this.pool = new Pool({ connectionString: url, max: 2, application_name: 'sandbox-acquirer' });
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
   * Does `work` if this remote key is new, and hands back the remembered answer if it is not. A
   * duplicate that comes while the first is still at it waits for its commit: the primary key decides.
   * @throws RemoteKeyConflictError when the key was used for another order
   */
  async once(operation: Operation, work: (books: Books) => Promise<KnownOutcome>) {
    return this.transaction(async (client) => {
      const { merchant, remoteKey, kind, payment, amount, currency } = operation;
      const inserted = await client.query(
        `INSERT INTO acquirer.operations (merchant, remote_key, kind, payment, amount, currency)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
        [merchant, remoteKey, kind, payment, amount, currency],
      );
      if (inserted.rowCount === 0) return this.remembered(client, operation);
      const answer = await work(booksOf(client, merchant, payment));
      await client.query(
        'UPDATE acquirer.operations SET answer = $3 WHERE merchant = $1 AND remote_key = $2',
        [merchant, remoteKey, JSON.stringify(answer)],
      );
      return answer;
    });
  }

  /** The answer given to a remote key, if it was ever seen. */
  async answerTo(merchant: string, remoteKey: string): Promise<KnownOutcome | undefined> {
    const { rows } = await this.pool.query<{ answer: KnownOutcome }>(
      'SELECT answer FROM acquirer.operations WHERE merchant = $1 AND remote_key = $2',
      [merchant, remoteKey],
    );
    return rows[0]?.answer;
  }

  /** Captured less refunded, in the currency's smallest unit. */
  async balance(merchant: string, currency: string): Promise<number> {
    const { rows } = await this.pool.query<{ balance: string }>(
      `SELECT COALESCE(sum(captured - refunded), 0) AS balance FROM acquirer.payments
       WHERE merchant = $1 AND currency = $2`,
      [merchant, currency],
    );
    return Number(rows[0]?.balance);
  }

  /** Everything approved, oldest first. */
  async ledger(merchant: string): Promise<LedgerEntry[]> {
    const { rows } = await this.pool.query<LedgerEntry & { amount: string }>(
      `SELECT kind, payment, amount, remote_key AS "remoteKey" FROM acquirer.operations
       WHERE merchant = $1 AND answer ->> 'outcome' = 'approved' ORDER BY created`,
      [merchant],
    );
    return rows.map((row) => ({ ...row, amount: Number(row.amount) }));
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async remembered(client: PoolClient, asked: Operation): Promise<KnownOutcome> {
    const { rows } = await client.query<{ same: boolean; answer: KnownOutcome }>(
      `SELECT answer, (kind, amount) = ($3, $4) AND currency IS NOT DISTINCT FROM $5
         AND (kind = 'charge' OR payment = $6) AS same
       FROM acquirer.operations WHERE merchant = $1 AND remote_key = $2`,
      [asked.merchant, asked.remoteKey, asked.kind, asked.amount, asked.currency, asked.payment],
    );
    const row = rows[0];
    if (!row?.same) throw new RemoteKeyConflictError(asked.remoteKey);
    return row.answer;
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

function booksOf(client: PoolClient, merchant: string, payment: string): Books {
  const change = async (set: string, onlyIf: string, amounts: number[]) => {
    const { rowCount } = await client.query(
      `UPDATE acquirer.payments SET ${set} WHERE merchant = $1 AND reference = $2 AND ${onlyIf}`,
      [merchant, payment, ...amounts],
    );
    return rowCount === 1;
  };
  return {
    open: async (currency, amount, capture) => {
      await client.query(
        `INSERT INTO acquirer.payments (merchant, reference, currency, authorized, captured, open)
         VALUES ($1, $2, $3, $4, $5, $6)`,
        [merchant, payment, currency, amount, capture ? amount : 0, !capture],
      );
    },
    capture: (amount) =>
      change('captured = $3, open = false', 'open AND authorized >= $3', [amount]),
    refund: (amount) => change('refunded = refunded + $3', 'captured - refunded >= $3', [amount]),
    release: () => change('open = false', 'open', []),
  };
}
