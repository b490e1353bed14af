/** Accounts with a key each, put straight into a database whose server runs already. */
import { createHash, randomBytes } from 'node:crypto';
import { Client } from 'pg';

export interface TestAccount {
  readonly name: string;
  readonly apiKey: string;
}

/** An account with a new sandbox key, not yet in any database. */
export const newAccount = (name: string): TestAccount => ({ name, apiKey: newApiKey() });

/** A key in the right format that belongs to no account yet. */
export const newApiKey = (): string =>
  `sk_test_${BigInt(`0x${randomBytes(32).toString('hex')}`)
    .toString(36)
    .padStart(43, '0')
    .slice(0, 43)}`;

/** Accounts beside the one that the first start makes. */
export async function insertAccounts(url: string, accounts: readonly TestAccount[]): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    for (const { name, apiKey } of accounts) {
      await client.query('INSERT INTO accounts (account) VALUES ($1)', [name]);
      await client.query(
        `INSERT INTO api_keys (account, id, livemode, hash, hint) VALUES ($1, $2, false, $3, '')`,
        [name, `key_${name}`, createHash('sha256').update(apiKey).digest()],
      );
    }
  } finally {
    await client.end();
  }
}
