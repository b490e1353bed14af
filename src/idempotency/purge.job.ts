/** Removes keys whose life is over (R18): in bounded batches, with pauses, past locked rows. */
import { setTimeout as pause } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { KeyStore } from './key.store';

/** Rows of one batch: one short transaction. */
const BATCH = 1_000;
/** Between two batches, ms: others get their turn. */
const PAUSE_MS = 20;

/** What one run did. */
export interface PurgeReport {
  removed: number;
  batches: number;
  /** How long the oldest expired key had been expired when the run began. */
  lagSeconds: number;
}

@Injectable()
export class PurgeJob {
  constructor(@Inject(KeyStore) private readonly store: KeyStore) {}

  /**
   * Runs to the end of the backlog, or until `signal` says stop.
   *
   * @returns how many keys went, in how many batches, and how late that was
   */
  async runOnce(signal?: AbortSignal): Promise<PurgeReport> {
    const { purgeLagSeconds: lagSeconds } = await this.store.backlog();
    let removed = 0;
    for (let batches = 1; ; batches += 1) {
      const batch = await this.store.purge(BATCH);
      removed += batch;
      if (batch < BATCH || signal?.aborted) return { removed, batches, lagSeconds };
      await pause(PAUSE_MS);
    }
  }
}
