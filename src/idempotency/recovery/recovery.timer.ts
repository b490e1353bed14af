/** Runs recovery on a timer of every process: one process with a wrong clock must not stop it (R19). */
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../contract/idempotency.options';
import { RecoveryJob } from './recovery.job';
import { RepeatedWork } from './repeated-work';

@Injectable()
export class RecoveryTimer implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger(RecoveryTimer.name);
  private readonly work: RepeatedWork;

  constructor(
    private readonly job: RecoveryJob,
    @Inject(RESOLVED_OPTIONS) { recoveryIntervalMs }: ResolvedOptions,
  ) {
    this.work = new RepeatedWork(recoveryIntervalMs, (signal) => this.run(signal), true);
  }

  onApplicationBootstrap(): void {
    this.work.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.work.stop();
  }

  private async run(signal: AbortSignal): Promise<void> {
    try {
      const { found, finished, postponed, parked } = await this.job.runOnce(signal);
      if (found === 0) return;
      this.log.log(
        `Abandoned requests: ${found} found, ${finished} finished, ${postponed} postponed, ${parked} parked.`,
      );
    } catch (error) {
      this.log.warn(`Abandoned requests could not be looked for: ${(error as Error).message}`);
    }
  }
}
