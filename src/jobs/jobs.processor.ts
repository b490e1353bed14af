/** Runs the jobs that the queue hands to this process. */
import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Logger } from '@nestjs/common';
import type { Job } from 'bullmq';
import { PurgeJob } from '../idempotency';
import { WarningInterval } from '../runtime';
import { JobReports } from './job-reports.store';
import { JOBS_QUEUE } from './jobs-backend';
import { ReportJob } from './report.job';

/** A repeated warning is logged again after this long, ms. */
const QUEUE_WARNING_INTERVAL_MS = 60_000;

/**
 * Runs the jobs of this process. Two run at once, so that a long purge does not delay the report. When a
 * worker is killed, another one runs its job once the lock has expired.
 */
@Processor(JOBS_QUEUE, {
  concurrency: 2,
  lockDuration: 15_000,
  stalledInterval: 15_000,
  runRetryDelay: 2_000,
})
export class JobsProcessor extends WorkerHost {
  private readonly logger = new Logger('Jobs');
  private readonly stopping = new AbortController();
  private purging = false;
  private readonly warnings = new WarningInterval(QUEUE_WARNING_INTERVAL_MS);

  constructor(
    private readonly purge: PurgeJob,
    private readonly report: ReportJob,
    private readonly reports: JobReports,
  ) {
    super();
  }

  async process({ name }: Job): Promise<void> {
    if (name === 'purge') await this.runPurge();
    else if (name === 'report') await this.report.runOnce();
    else throw new Error(`There is no job ${name}.`);
  }

  /** Asks running jobs to stop: a purge stops after its batch. */
  stop(): void {
    this.stopping.abort();
  }

  @OnWorkerEvent('failed')
  failed(job: Job | undefined, error: Error): void {
    this.logger.error(`The job ${job?.name ?? 'that stalled'} failed: ${error.message}`);
  }

  @OnWorkerEvent('error')
  warn(error: Error): void {
    // Each failed attempt to connect is an error.
    const text = error.message || (error as NodeJS.ErrnoException).code || error.name;
    if (this.stopping.signal.aborted || !this.warnings.isDue(text)) return;
    this.logger.warn(`The jobs wait: ${text}`);
  }

  private async runPurge(): Promise<void> {
    // A purge of a long backlog outlasts its interval: one at a time in each process.
    if (this.purging) return;
    this.purging = true;
    try {
      const started = performance.now();
      const { removed, batches, lagSeconds } = await this.purge.runOnce(this.stopping.signal);
      const tookSeconds = (performance.now() - started) / 1_000;
      await this.reports.keep('purge', { removed, batches, lagSeconds, tookSeconds });
      if (removed > 0) {
        this.logger.log(
          `Purged ${removed} expired idempotency keys in ${batches} batches and ` +
            `${tookSeconds.toFixed(1)} s; the oldest was ${Math.round(lagSeconds)} s past its life.`,
        );
      }
    } finally {
      this.purging = false;
    }
  }
}
