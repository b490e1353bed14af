/** Payment intents and charges get the column of `transfer_group`. */
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { lockTables } from '../database';

const TABLES = ['payment_intents', 'charges'];

/** PostgreSQL rewrites no row for it. */
export class AddTransferGroup1795712686454 implements MigrationInterface {
  readonly name = 'AddTransferGroup1795712686454';

  async up(runner: QueryRunner): Promise<void> {
    await lockTables(runner, TABLES);
    for (const table of TABLES)
      await runner.query(`ALTER TABLE ${table} ADD COLUMN transfer_group text`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await lockTables(runner, TABLES);
    for (const table of TABLES)
      await runner.query(`ALTER TABLE ${table} DROP COLUMN transfer_group`);
  }
}
