/** The evidence of a run: the acquirer ledger, the database, and the responses that clients received. */
import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { Client } from 'pg';

/** One line of the acquirer's ledger: a final outcome. A repeat of a remote key adds no line. */
export interface LedgerEntry {
  readonly merchant: string;
  readonly remoteKey: string;
  readonly kind: 'charge' | 'capture' | 'refund' | 'cancel';
  /** The acquirer's name for the payment. */
  readonly payment: string;
  readonly amount: number;
  readonly currency: string | null;
  /** Of a charge: false where it only authorised. */
  readonly capture?: boolean;
  readonly outcome: 'approved' | 'declined';
  readonly reference?: string | null;
}

/**
 * What one client orders under one key. Amounts are unique for each account and effect, so that a ledger
 * entry identifies its order without the server's help. A cancellation has no amount: the payment that it
 * releases identifies it.
 */
export interface Order {
  readonly key: string;
  readonly account: string;
  /**
   * What happens at most once. `charge` may only authorise; `confirm` charges an intent that an `open`
   * created.
   */
  readonly effect: 'charge' | 'capture' | 'cancel' | 'refund' | 'customer' | 'open' | 'confirm';
  /** In the smallest currency unit; of a customer: the number in its name. */
  readonly amount: number;
}

/** One response, as a client received it. */
export interface SeenResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

/** All that one client saw of its key. */
export interface ClientRecord {
  readonly order: Order;
  readonly responses: readonly SeenResponse[];
  /** Requests that ended without a response: the connection broke, or the client hung up. */
  readonly withoutResponse: number;
  /** The client does not retry, and may have no final response. */
  readonly gone: boolean;
}

export interface KeyRow {
  readonly account: string;
  readonly key: string;
  /** Null while unfinished. */
  readonly status: number | null;
  readonly body: string | null;
  readonly attempt: number;
}

export interface IntentRow {
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  readonly status: string;
  readonly latestCharge: string | null;
}

export interface ChargeRow {
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  readonly amountCaptured: number;
  readonly status: string;
  /** Whether the authorised amount was released. */
  readonly released: boolean;
  readonly reference: string | null;
}

export interface RefundRow {
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  readonly status: string;
  readonly charge: string;
  readonly reference: string | null;
}

export interface CustomerRow {
  readonly account: string;
  readonly id: string;
  readonly name: string | null;
}

/** The tables as they were at one moment. */
export interface Tables {
  readonly keys: readonly KeyRow[];
  readonly intents: readonly IntentRow[];
  readonly charges: readonly ChargeRow[];
  readonly refunds: readonly RefundRow[];
  readonly customers: readonly CustomerRow[];
}

/** Reads an acquirer ledger. The last line may be torn: its effect was never confirmed to a server. */
export function readLedger(path: string): LedgerEntry[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.pop(); // empty, or torn
  return lines.map((line) => JSON.parse(line) as LedgerEntry);
}

interface StoredKey extends Omit<KeyRow, 'body'> {
  readonly body: Buffer | null;
  readonly deflated: boolean;
}

/** Reads the tables in one snapshot. */
export async function readTables(url: string): Promise<Tables> {
  const client = new Client({ connectionString: url, application_name: 'checker' });
  await client.connect();
  const rows = async <T extends object>(sql: string) => (await client.query<T>(sql)).rows;
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    return {
      keys: (
        await rows<StoredKey>(
          'SELECT account, key, status, body, deflated, attempt FROM idempotency_keys',
        )
      ).map(({ body, deflated, ...row }) => ({
        ...row,
        body: body && (deflated ? inflateRawSync(body) : body).toString(),
      })),
      intents: await rows<IntentRow>(
        `SELECT account, id, amount, status, latest_charge AS "latestCharge" FROM payment_intents`,
      ),
      charges: await rows<ChargeRow>(
        `SELECT account, id, amount, amount_captured AS "amountCaptured", status, released,
           reference
         FROM charges`,
      ),
      refunds: await rows<RefundRow>(
        'SELECT account, id, amount, status, charge, reference FROM refunds',
      ),
      customers: await rows<CustomerRow>('SELECT account, id, name FROM customers'),
    };
  } finally {
    await client.end();
  }
}
