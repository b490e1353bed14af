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

@Injectable()
export class RecoveryTimer implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #log = new Logger(RecoveryTimer.name);
  readonly #stop = new AbortController();
  #timer?: NodeJS.Timeout;
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly job: RecoveryJob,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
  ) {}

  onApplicationBootstrap(): void {
    if (this.options.recoveryIntervalMs > 0) this.schedule();
  }

  /** Waits for the requests in flight, while the database is still there. */
  async onModuleDestroy(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  private schedule(): void {
    // Jitter: processes that started together must not ask the database together each time.
    const pauseMs = this.options.recoveryIntervalMs * (0.75 + Math.random() / 2);
    this.#timer = setTimeout(() => {
      this.#running = this.run().then(() => {
        if (!this.#stop.signal.aborted) this.schedule();
      });
    }, pauseMs);
  }

  private async run(): Promise<void> {
    try {
      const { found, finished, postponed, parked } = await this.job.runOnce(this.#stop.signal);
      if (found === 0) return;
      this.#log.log(
        `Abandoned requests: ${found} found, ${finished} finished, ${postponed} postponed, ${parked} parked.`,
      );
    } catch (error) {
      this.#log.warn(`Abandoned requests could not be looked for: ${(error as Error).message}`);
    }
  }
}
