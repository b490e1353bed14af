/** Whether the jobs keep up, judged by what waits for them and never by what a worker says of itself. */
import { Injectable } from '@nestjs/common';
import { type Backlog, KeyStatusService } from '../idempotency';
import { JobReports } from '../jobs';
import { Settings } from '../runtime';

/** How far behind the jobs are. Seconds by the database's clock. */
export interface JobFigures extends Backlog {
  /** Since the last report that any worker made; null where none has ever made one. */
  readonly reportedSecondsAgo: number | null;
}

export interface JobHealth {
  readonly figures: JobFigures;
  /** A sentence for each thing that lags too far; none where all is well. */
  readonly complaints: readonly string[];
}

@Injectable()
export class HealthOfJobs {
  private readonly startedMs = performance.now();

  constructor(
    private readonly keys: KeyStatusService,
    private readonly reports: JobReports,
    private readonly settings: Settings,
  ) {}

  /** Asks the database: what it says is the same in every process, wherever the workers are. */
  async look(): Promise<JobHealth> {
    const backlog = await this.keys.backlog();
    const report = (await this.reports.last()).get('report');
    const figures = { ...backlog, reportedSecondsAgo: report?.ageSeconds ?? null };
    return { figures, complaints: this.complaintsAbout(figures) };
  }

  private complaintsAbout(figures: JobFigures): string[] {
    const { settings } = this;
    const complaints: string[] = [];
    const judge = (lag: number, most: number, what: string) => {
      if (lag > most) complaints.push(`${what} for ${Math.floor(lag)} s, longer than ${most} s.`);
    };
    // A report from before this application started says nothing of the workers that start with it.
    const upSeconds = (performance.now() - this.startedMs) / 1_000;
    judge(
      Math.min(figures.reportedSecondsAgo ?? Number.POSITIVE_INFINITY, upSeconds),
      settings.JOBS_REPORT_INTERVAL_SECONDS + settings.HEALTH_MAX_REPORT_LAG_SECONDS,
      'No worker has reported',
    );
    judge(
      figures.recoveryLagSeconds,
      settings.HEALTH_MAX_RECOVERY_LAG_SECONDS,
      'An abandoned request has waited to be recovered',
    );
    judge(
      figures.purgeLagSeconds,
      settings.PURGE_INTERVAL_SECONDS + settings.HEALTH_MAX_PURGE_LAG_SECONDS,
      'An expired key has waited to be purged',
    );
    return complaints;
  }
}
