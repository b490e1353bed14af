/** Whether the jobs keep up, by the work in the database that waits for them. */
import { Injectable } from '@nestjs/common';
import { type Backlog, KeyStatusService } from '../idempotency';
import { JobReports } from '../jobs';
import { Settings } from '../runtime';

/** How far behind the jobs are. Seconds by the database's clock. */
export interface JobFigures extends Backlog {
  /** Since the last report of any worker; null if none has ever reported. */
  readonly reportedSecondsAgo: number | null;
}

/** The figures of the jobs, and what is wrong with them. */
export interface JobHealth {
  readonly figures: JobFigures;
  /** A sentence for each lag over its limit. */
  readonly problems: readonly string[];
}

/** Reads the figures of the jobs and compares them with the limits of the settings. */
@Injectable()
export class JobHealthService {
  private readonly startedMs = performance.now();

  constructor(
    private readonly keys: KeyStatusService,
    private readonly reports: JobReports,
    private readonly settings: Settings,
  ) {}

  /** Reads the database, so that the result is the same in every process, wherever the workers run. */
  async check(): Promise<JobHealth> {
    const backlog = await this.keys.backlog();
    const report = (await this.reports.last()).get('report');
    const figures = { ...backlog, reportedSecondsAgo: report?.ageSeconds ?? null };
    return { figures, problems: this.problemsOf(figures) };
  }

  private problemsOf(figures: JobFigures): string[] {
    const { settings } = this;
    const problems: string[] = [];
    const limit = (lag: number, max: number, what: string) => {
      if (lag > max) problems.push(`${what} for ${Math.floor(lag)} s, longer than ${max} s.`);
    };
    // Workers that start together with this process have not reported yet.
    const upSeconds = (performance.now() - this.startedMs) / 1_000;
    limit(
      Math.min(figures.reportedSecondsAgo ?? Number.POSITIVE_INFINITY, upSeconds),
      settings.JOBS_REPORT_INTERVAL_SECONDS + settings.HEALTH_MAX_REPORT_LAG_SECONDS,
      'No worker has reported',
    );
    limit(
      figures.recoveryLagSeconds,
      settings.HEALTH_MAX_RECOVERY_LAG_SECONDS,
      'An abandoned request has waited to be recovered',
    );
    limit(
      figures.purgeLagSeconds,
      settings.PURGE_INTERVAL_SECONDS + settings.HEALTH_MAX_PURGE_LAG_SECONDS,
      'An expired key has waited to be purged',
    );
    return problems;
  }
}
