/** The table of refunds. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Refunds, by account, with indexes for the lists by charge and by payment intent. */
export class CreateRefunds1764000004000 implements MigrationInterface {
  readonly name = 'CreateRefunds1764000004000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE refunds (
        account        text NOT NULL,
        id             text COLLATE "C" NOT NULL,
        livemode       boolean NOT NULL,
        created        timestamptz NOT NULL DEFAULT now(),
        amount         integer NOT NULL CHECK (amount > 0),
        currency       text NOT NULL,
        status         text NOT NULL,
        charge         text COLLATE "C" NOT NULL,
        payment_intent text COLLATE "C",
        payment_method text COLLATE "C" NOT NULL,
        customer       text COLLATE "C",
        reason         text,
        reference      text,
        failure_reason text,
        metadata       jsonb NOT NULL,
        PRIMARY KEY (account, id),
        FOREIGN KEY (account, charge) REFERENCES charges (account, id),
        FOREIGN KEY (account, payment_intent) REFERENCES payment_intents (account, id),
        FOREIGN KEY (account, payment_method) REFERENCES payment_methods (account, id),
        FOREIGN KEY (account, customer) REFERENCES customers (account, id)
      )`);
    await runner.query('CREATE INDEX refunds_charge ON refunds (account, charge, id)');
    await runner.query(`
      CREATE INDEX refunds_payment_intent ON refunds (account, payment_intent, id)
      WHERE payment_intent IS NOT NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE refunds');
  }
}
