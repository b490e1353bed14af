/** The tables of accounts and API keys. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateAccounts1764000001000 implements MigrationInterface {
  readonly name = 'CreateAccounts1764000001000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE accounts (
        account text COLLATE "C" PRIMARY KEY,
        created timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query(`
      CREATE TABLE api_keys (
        account text COLLATE "C" NOT NULL REFERENCES accounts (account),
        id text COLLATE "C" NOT NULL,
        livemode boolean NOT NULL,
        hash bytea NOT NULL,
        hint text NOT NULL,
        created timestamptz NOT NULL DEFAULT now(),
        revoked timestamptz,
        PRIMARY KEY (account, id),
        UNIQUE (account, hash)
      )`);
    // For look-ups before the account is known. The index is not unique, since unique keys begin with
    // the account. Two keys of 32 random bytes never have the same hash anyway.
    await runner.query('CREATE INDEX api_keys_hash ON api_keys (hash)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE api_keys');
    await runner.query('DROP TABLE accounts');
  }
}
