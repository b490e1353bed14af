/** Purges expired keys on a timer of every process, for applications without a schedule of their own (R19). */
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../contract/idempotency.options';
import { PurgeJob } from './purge.job';
import { RepeatedWork } from './repeated-work';

@Injectable()
export class PurgeTimer implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger(PurgeTimer.name);
  private readonly work: RepeatedWork;

  constructor(
    private readonly job: PurgeJob,
    @Inject(RESOLVED_OPTIONS) { purgeIntervalMs }: ResolvedOptions,
  ) {
    // Not alive: a script that is done must not wait for a purge.
    this.work = new RepeatedWork(purgeIntervalMs, (signal) => this.run(signal), false);
  }

  onApplicationBootstrap(): void {
    this.work.start();
  }

  /** A purge in progress ends after its batch. */
  onModuleDestroy(): Promise<void> {
    return this.work.stop();
  }

  private async run(signal: AbortSignal): Promise<void> {
    try {
      const { removed } = await this.job.runOnce(signal);
      if (removed > 0) this.log.debug(`Expired keys: ${removed} removed.`);
    } catch (error) {
      this.log.warn(`Expired keys could not be removed: ${(error as Error).message}`);
    }
  }
}
