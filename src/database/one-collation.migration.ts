/**
 * One collation, "C", for every text column that a key or an index is made of. As 0.1.0 was first made,
 * `account` had it in three tables and the database's own in five, and Citus does not place tables
 * together whose distribution columns differ in it. It is "C" because ids sort by bytes (TenantEntity)
 * and because no update of a system's locales then changes the order of an index.
 *
 * PostgreSQL rewrites no table for it and checks no foreign key again; it builds the indexes of these
 * columns anew: 6 s for 500,000 payments and 20 s for a million, on two cores. No request is served meanwhile.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { lockTables } from './table-lock';

/** The columns that had the collation of the database, by table. */
const COLUMNS = {
  customers: ['account', 'email'],
  payment_methods: ['account'],
  payment_intents: ['account'],
  charges: ['account'],
  refunds: ['account'],
  'jobs.reports': ['job'],
};

export class OneCollation1764000006000 implements MigrationInterface {
  readonly name = 'OneCollation1764000006000';

  async up(runner: QueryRunner): Promise<void> {
    await collate(runner, '"C"');
  }

  async down(runner: QueryRunner): Promise<void> {
    await collate(runner, '"default"');
  }
}

async function collate(runner: QueryRunner, collation: '"C"' | '"default"'): Promise<void> {
  await lockTables(runner, Object.keys(COLUMNS));
  await endOtherConnections(runner);
  for (const [table, columns] of Object.entries(COLUMNS)) {
    const changes = columns.map((column) => `ALTER ${column} TYPE text COLLATE ${collation}`);
    await runner.query(`ALTER TABLE ${table} ${changes.join(', ')}`);
    // The change takes the columns' statistics away, and as no row has changed nothing brings them back.
    await runner.query(`ANALYZE ${table} (${columns.join(', ')})`);
  }
}

/**
 * What other processes have prepared returns columns of the old collation, and PostgreSQL would refuse it
 * from now on ("cached plan must not change result type"). Their connections end here, where no process can
 * prepare a statement on these tables before the commit; the processes connect again by themselves.
 */
async function endOtherConnections(runner: QueryRunner): Promise<void> {
  await runner.query(`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'paidonce' AND datname = current_database() AND usename = current_user
      AND pid <> pg_backend_pid()`);
}
