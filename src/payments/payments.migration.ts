/** The tables of payments. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Payment methods, payment intents and charges. The account comes first in every key. */
export class CreatePayments1764000003000 implements MigrationInterface {
  readonly name = 'CreatePayments1764000003000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE payment_methods (
        account   text NOT NULL,
        id        text COLLATE "C" NOT NULL,
        livemode  boolean NOT NULL,
        created   timestamptz NOT NULL DEFAULT now(),
        token     text NOT NULL,
        card      jsonb NOT NULL,
        customer  text COLLATE "C",
        metadata  jsonb NOT NULL,
        PRIMARY KEY (account, id),
        FOREIGN KEY (account, customer) REFERENCES customers (account, id)
      )`);
    await runner.query(`
      CREATE INDEX payment_methods_customer ON payment_methods (account, customer, id)
      WHERE customer IS NOT NULL`);
    await runner.query(PAYMENT_INTENTS);
    await runner.query(`
      CREATE INDEX payment_intents_customer ON payment_intents (account, customer, id)
      WHERE customer IS NOT NULL`);
    await runner.query(CHARGES);
    await runner.query(`
      CREATE INDEX charges_customer ON charges (account, customer, id)
      WHERE customer IS NOT NULL`);
    await runner.query(`
      CREATE INDEX charges_payment_intent ON charges (account, payment_intent, id)
      WHERE payment_intent IS NOT NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE charges');
    await runner.query('DROP TABLE payment_intents');
    await runner.query('DROP TABLE payment_methods');
  }
}

const PAYMENT_INTENTS = `
  CREATE TABLE payment_intents (
    account                     text NOT NULL,
    id                          text COLLATE "C" NOT NULL,
    livemode                    boolean NOT NULL,
    created                     timestamptz NOT NULL DEFAULT now(),
    amount                      integer NOT NULL CHECK (amount > 0),
    amount_capturable           integer NOT NULL,
    amount_received             integer NOT NULL,
    currency                    text NOT NULL,
    status                      text NOT NULL,
    capture_method              text NOT NULL,
    confirmation_method         text NOT NULL,
    customer                    text COLLATE "C",
    payment_method              text COLLATE "C",
    latest_charge               text COLLATE "C",
    last_payment_error          jsonb,
    next_action                 jsonb,
    canceled_at                 timestamptz,
    cancellation_reason         text,
    secret                      text NOT NULL,
    payment_method_types        jsonb NOT NULL,
    automatic_payment_methods   jsonb,
    setup_future_usage          text,
    description                 text,
    metadata                    jsonb NOT NULL,
    receipt_email               text,
    shipping                    jsonb,
    statement_descriptor        text,
    statement_descriptor_suffix text,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, customer) REFERENCES customers (account, id),
    FOREIGN KEY (account, payment_method) REFERENCES payment_methods (account, id),
    CHECK (amount_capturable BETWEEN 0 AND amount),
    CHECK (amount_received BETWEEN 0 AND amount)
  ) WITH (fillfactor = 80)`;

/** The last two checks hold however refunds and captures race, whatever the code does. */
const CHARGES = `
  CREATE TABLE charges (
    account                     text NOT NULL,
    id                          text COLLATE "C" NOT NULL,
    livemode                    boolean NOT NULL,
    created                     timestamptz NOT NULL DEFAULT now(),
    amount                      integer NOT NULL CHECK (amount > 0),
    amount_captured             integer NOT NULL,
    amount_refunded             integer NOT NULL,
    currency                    text NOT NULL,
    status                      text NOT NULL,
    captured                    boolean NOT NULL,
    released                    boolean NOT NULL,
    reference                   text,
    customer                    text COLLATE "C",
    payment_intent              text COLLATE "C",
    payment_method              text COLLATE "C" NOT NULL,
    card                        jsonb NOT NULL,
    failure_code                text,
    failure_message             text,
    decline_code                text,
    description                 text,
    metadata                    jsonb NOT NULL,
    receipt_email               text,
    shipping                    jsonb,
    statement_descriptor        text,
    statement_descriptor_suffix text,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, customer) REFERENCES customers (account, id),
    FOREIGN KEY (account, payment_intent) REFERENCES payment_intents (account, id),
    FOREIGN KEY (account, payment_method) REFERENCES payment_methods (account, id),
    CHECK (amount_captured BETWEEN 0 AND amount),
    CHECK (amount_refunded BETWEEN 0 AND amount_captured)
  ) WITH (fillfactor = 80)`;
