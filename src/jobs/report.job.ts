/** Reports how far behind recovery and purge are: to the log, and to where health reads it (R19). */
import { Injectable, Logger } from '@nestjs/common';
import { KeyStatusService } from '../idempotency';
import { JobReports } from './job-reports.store';

@Injectable()
export class ReportJob {
  private readonly logger = new Logger(ReportJob.name);
  /** The last backlog that was logged: it is logged again only when it changes. */
  private lastBacklog = '';

  constructor(
    private readonly keys: KeyStatusService,
    private readonly reports: JobReports,
  ) {}

  async runOnce(): Promise<void> {
    const backlog = await this.keys.backlog();
    await this.reports.keep('report', { ...backlog });
    const { unfinished, abandoned, recoveryLagSeconds, parked, purgeLagSeconds } = backlog;
    const waits = abandoned > 0 || parked > 0;
    const sentence =
      `Recovery: ${unfinished} unfinished requests, ${abandoned} abandoned, ${parked} parked, ` +
      `${Math.round(recoveryLagSeconds)} s behind. Purge: ${Math.round(purgeLagSeconds)} s behind.`;
    const current = `${abandoned} ${parked}`;
    if (!waits || current === this.lastBacklog) this.logger.debug(sentence);
    else if (parked > 0) this.logger.warn(sentence);
    else this.logger.log(sentence);
    this.lastBacklog = waits ? current : '';
  }
}
