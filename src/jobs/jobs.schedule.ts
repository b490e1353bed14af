import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { PurgeJob } from '../idempotency';
import { Settings } from '../settings';

/**
 * Runs the purge job on a plain interval, counted from the end of one run to the start of the next.
 * Every process may have one: a run skips what another is at.
 */
@Injectable()
export class JobsSchedule implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(JobsSchedule.name);
  private readonly stopped = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly purge: PurgeJob,
    private readonly settings: Settings,
  ) {}

  onApplicationBootstrap(): void {
    this.schedule();
  }

  /** Lets the batch that runs finish, while its database is still there. */
  async onModuleDestroy(): Promise<void> {
    this.stopped.abort();
    clearTimeout(this.timer);
    await this.running;
  }

  private schedule(): void {
    this.timer = setTimeout(() => {
      this.running = this.runPurge().then(() => {
        if (!this.stopped.signal.aborted) this.schedule();
      });
    }, this.settings.PURGE_INTERVAL_SECONDS * 1_000);
  }

  private async runPurge(): Promise<void> {
    try {
      const { removed } = await this.purge.runOnce(this.stopped.signal);
      if (removed > 0) this.logger.log(`Purged ${removed} expired idempotency keys.`);
    } catch (error) {
      this.logger.error(`The purge of expired keys failed: ${(error as Error).message}`);
    }
  }
}
