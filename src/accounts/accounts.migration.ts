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
    // Looked up before the account is known. Not unique, since unique keys begin with the account;
    // the hash of 32 random bytes has no double anyway.
    await runner.query('CREATE INDEX api_keys_hash ON api_keys (hash)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE api_keys');
    await runner.query('DROP TABLE accounts');
  }
}
