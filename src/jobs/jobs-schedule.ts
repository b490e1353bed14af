/** Declares when each job runs. Every process that runs jobs declares the same. */
import { BullRegistrar, InjectQueue } from '@nestjs/bullmq';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { resultWithin, Settings } from '../runtime';
import { JOBS_QUEUE } from './jobs-backend';
import { JobsProcessor } from './jobs.processor';

/** How often each process checks that the schedules are declared, ms. */
const CHECK_INTERVAL_MS = 10_000;
/** Longest wait for the queue when the process stops, ms. */
const CLOSE_TIMEOUT_MS = 2_000;

@Injectable()
export class JobsSchedule implements OnApplicationBootstrap, OnModuleDestroy {
  private timer: NodeJS.Timeout | undefined;
  private started = false;
  private stopped = false;

  constructor(
    @InjectQueue(JOBS_QUEUE) private readonly queue: Queue,
    private readonly processor: JobsProcessor,
    private readonly registrar: BullRegistrar,
    private readonly settings: Settings,
  ) {
    queue.on('error', (error) => processor.warn(error));
  }

  /** Does not wait for the queue: requests are served while Redis is down. */
  onApplicationBootstrap(): void {
    this.registrar.register();
    this.started = true;
    void this.keepDeclared(true);
  }

  /** The jobs stop first, while the database they work on is still there. */
  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.processor.stop();
    const parts = this.started ? [this.processor.worker, this.queue] : [this.queue];
    await Promise.all(parts.map(closePart));
  }

  /**
   * Declares schedules that are missing or differ, and checks them again after a while: Redis may be
   * flushed, and a process with a wrong clock can move the next run far into the future (R19).
   */
  private async keepDeclared(first: boolean): Promise<void> {
    const everyMs = {
      purge: this.settings.PURGE_INTERVAL_SECONDS * 1_000,
      report: this.settings.JOBS_REPORT_INTERVAL_SECONDS * 1_000,
    };
    try {
      for (const [name, every] of Object.entries(everyMs)) {
        const found = await this.queue.getJobScheduler(name);
        const nextInMs = (found?.next ?? Number.POSITIVE_INFINITY) - Date.now();
        // On the first check, this worker is about to take jobs that became due while no process ran.
        const isStuck = !first && nextInMs < -(every + CHECK_INTERVAL_MS);
        const isTooLate = nextInMs > every + CHECK_INTERVAL_MS;
        if ((found?.every !== every || isStuck || isTooLate) && !this.stopped) {
          await this.queue.upsertJobScheduler(name, { every }, { name });
        }
      }
    } catch (error) {
      this.processor.warn(error as Error);
    }
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.keepDeclared(false), CHECK_INTERVAL_MS);
  }
}

/**
 * Closes a queue or worker, and disconnects it where Redis sends no reply in time. Nest closes the same
 * parts later, once more, and would wait for ever.
 */
async function closePart(part: Pick<Queue, 'close' | 'disconnect'>): Promise<void> {
  const isClosed = await resultWithin(
    CLOSE_TIMEOUT_MS,
    part.close().then(() => true),
  );
  if (isClosed) return;
  void part.disconnect().catch(() => undefined);
  part.close = () => Promise.resolve();
}
