/** The table of customers. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Customers, by account, with an index for the list by email. */
export class CreateCustomers1764000002000 implements MigrationInterface {
  readonly name = 'CreateCustomers1764000002000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE customers (
        account text NOT NULL,
        id text COLLATE "C" NOT NULL,
        livemode boolean NOT NULL,
        created timestamptz NOT NULL DEFAULT now(),
        deleted timestamptz,
        name text,
        email text,
        phone text,
        description text,
        address jsonb,
        shipping jsonb,
        preferred_locales jsonb NOT NULL DEFAULT '[]',
        invoice_prefix text NOT NULL,
        default_source text COLLATE "C",
        default_payment_method text COLLATE "C",
        tax_exempt text NOT NULL DEFAULT 'none',
        metadata jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (account, id)
      )`);
    await runner.query(`
      CREATE INDEX customers_by_email ON customers (account, livemode, email, id)
        WHERE deleted IS NULL`);
    await runner.query(`
      CREATE INDEX customers_newest ON customers (account, livemode, id) WHERE deleted IS NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE customers');
  }
}
