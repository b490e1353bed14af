/** What runs when: declared by every process that runs jobs, and the same whoever declares it. */
import { BullRegistrar, InjectQueue } from '@nestjs/bullmq';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Settings } from '../runtime';
import { JOBS_QUEUE } from './jobs.backend';
import { JobsProcessor } from './jobs.processor';

/** How often each process makes sure that the schedules are still there, ms. */
const LOOK_AGAIN_MS = 10_000;
/** Longest wait for a queue that does not answer when the process stops, ms. */
const CLOSE_DEADLINE_MS = 2_000;

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
    queue.on('error', (error) => processor.complain(error));
  }

  /** Does not wait for the queue: requests are served while Redis is away. */
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
    await Promise.all(parts.map(closed));
  }

  /**
   * Declares what is missing, or was declared otherwise. Looked at again and again: Redis may be
   * flushed, and one process with a wrong clock can put the next run out of everybody's sight (R19).
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
        // What became due while no process ran is taken by this worker, now.
        const isStuck = !first && nextInMs < -(every + LOOK_AGAIN_MS);
        const isAway = nextInMs > every + LOOK_AGAIN_MS;
        if ((found?.every !== every || isStuck || isAway) && !this.stopped) {
          await this.queue.upsertJobScheduler(name, { every }, { name });
        }
      }
    } catch (error) {
      this.processor.complain(error as Error);
    }
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.keepDeclared(false), LOOK_AGAIN_MS);
  }
}

/**
 * Closes, and gives up on a Redis that does not answer: nothing of it may hold up the end. Nest closes
 * the same parts later, once more, and would wait for ever.
 */
async function closed(part: Pick<Queue, 'close' | 'disconnect'>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, CLOSE_DEADLINE_MS, 'late');
  });
  const outcome = await Promise.race([part.close(), late]);
  clearTimeout(timer);
  if (outcome !== 'late') return;
  void part.disconnect().catch(() => undefined);
  part.close = () => Promise.resolve();
}
