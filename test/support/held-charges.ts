/** Charges that wait in the sandbox acquirer until a test releases them. */
import { Client } from 'pg';
import { eventually } from './eventually';

export interface HeldCharges {
  /** Resolves once so many charges wait: claimed, with the acquirer, and not in its ledger yet. */
  arrived(count?: number): Promise<void>;
  /** Lets those that wait, and all that come later, go on. */
  release(): Promise<void>;
}

/**
 * Holds every charge of the acquirer whose ledger is in this database, from any process. The acquirer ledger
 * can be read meanwhile, and the payment's own rows are not locked. No server can start on
 * the database meanwhile.
 */
export async function holdCharges(databaseUrl: string): Promise<HeldCharges> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'held charges' });
  client.on('error', () => undefined); // a test may end the server that it belongs to
  await client.connect();
  await client.query('BEGIN; LOCK TABLE acquirer.operations IN SHARE ROW EXCLUSIVE MODE');
  const waiting = async () => {
    const { rows } = await client.query<{ count: number }>(
      `SELECT count(*)::int FROM pg_locks
       WHERE relation = 'acquirer.operations'::regclass AND NOT granted`,
    );
    return rows[0]?.count ?? 0;
  };
  return {
    arrived: (count = 1) =>
      eventually(`${count} charges are held`, async () => (await waiting()) >= count),
    release: () => client.end(),
  };
}
