/** Creates the table of keys. Applications add it to their own migrations. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateIdempotencyKeys1764000000000 implements MigrationInterface {
  readonly name = 'CreateIdempotencyKeys1764000000000';

  async up(runner: QueryRunner): Promise<void> {
    // json, not jsonb: PostgreSQL never looks inside, and a phase's result may hold \u0000.
    // Pages are filled: an update that finishes ends the lease, which is indexed, so room on its own
    // page would not make it cheaper (docs/PERFORMANCE.md, "What falls short").
    await runner.query(`
      CREATE TABLE idempotency_keys (
        account             text COLLATE "C" NOT NULL,
        mode                text COLLATE "C" NOT NULL,
        key                 text COLLATE "C" NOT NULL,
        claim_id            uuid NOT NULL,
        attempt             integer NOT NULL,
        operation           text NOT NULL,
        fingerprint         bytea NOT NULL,
        fingerprint_version smallint NOT NULL,
        parameters          json NOT NULL,
        original_request    text NOT NULL,
        phases              json,
        status              smallint,
        headers             json,
        body                bytea,
        deflated            boolean NOT NULL DEFAULT false,
        created_at          timestamptz NOT NULL,
        expires_at          timestamptz NOT NULL,
        lease_until         timestamptz,
        request             json,
        retry_at            timestamptz,
        parked_at           timestamptz,
        CONSTRAINT idempotency_keys_pkey PRIMARY KEY (account, mode, key),
        -- finished with an answer, or unfinished with a lease: nothing between
        CONSTRAINT idempotency_keys_state CHECK (
          (status IS NOT NULL AND body IS NOT NULL
            AND lease_until IS NULL AND request IS NULL AND parked_at IS NULL)
          OR (status IS NULL AND headers IS NULL AND body IS NULL
            AND lease_until IS NOT NULL AND request IS NOT NULL)
        )
      )`);
    await runner.query('CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at)');
    // Holds the unfinished rows alone, so that finding abandoned ones costs by their number (R19).
    await runner.query(`
      CREATE INDEX idempotency_keys_lease_until ON idempotency_keys (lease_until)
      WHERE lease_until IS NOT NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE idempotency_keys');
  }
}
