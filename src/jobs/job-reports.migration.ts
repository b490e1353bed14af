/** Creates the table of the reports that jobs make. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the jobs last reported. No tenant's rows, so they stand outside the tenants' schema. */
export class CreateJobReports1764000005000 implements MigrationInterface {
  readonly name = 'CreateJobReports1764000005000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE SCHEMA jobs');
    await runner.query(`
      CREATE TABLE jobs.reports (
        job         text PRIMARY KEY,
        reported_at timestamptz NOT NULL,
        figures     jsonb NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE jobs.reports');
    await runner.query('DROP SCHEMA jobs');
  }
}
