/** The last report of each job, in the database, where every process reads it. */
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';

/** The last report of a job. */
export interface JobReport {
  /** Since it was made, by the database's clock. */
  readonly ageSeconds: number;
  readonly figures: Readonly<Record<string, number>>;
}

@Injectable()
export class JobReports {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** Replaces the job's last report. */
  async keep(job: string, figures: Readonly<Record<string, number>>): Promise<void> {
    await this.dataSource.query(
      `INSERT INTO jobs.reports (job, reported_at, figures) VALUES ($1, now(), $2)
        ON CONFLICT (job) DO UPDATE
          SET reported_at = excluded.reported_at, figures = excluded.figures`,
      [job, JSON.stringify(figures)],
    );
  }

  /** The last report of each job that has ever made one, by its name. */
  async last(): Promise<ReadonlyMap<string, JobReport>> {
    const rows = await this.dataSource.query<
      { job: string; age: number; figures: Record<string, number> }[]
    >(
      `SELECT job, extract(epoch FROM now() - reported_at)::float8 AS age, figures
        FROM jobs.reports`,
    );
    return new Map(rows.map(({ job, age, figures }) => [job, { ageSeconds: age, figures }]));
  }
}
