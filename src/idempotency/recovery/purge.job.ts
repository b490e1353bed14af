/** Removes keys whose life is over (R18): in bounded batches, with pauses, past locked rows. */
import { setTimeout as pause } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { KeyStore } from '../store/key.store';

/** Rows of one batch: one short transaction, and a longer one while nobody else does anything. */
const BATCH = 1_000;
const IDLE_BATCH = 5_000;
/**
 * The pause after a batch, in times of what it took: so long on an idle server, and once more for each
 * session that was in the middle of something. Others get their turn, and a longer one the more there are.
 */
const IDLE_SHARE = 0.25;
/** Longest pause between two batches, ms. */
const LONGEST_PAUSE_MS = 1_000;

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
    let limit = BATCH;
    for (let batches = 1; ; batches += 1) {
      const started = performance.now();
      const batch = await this.store.purge(limit);
      const tookMs = performance.now() - started;
      removed += batch.removed;
      if (batch.removed < limit || signal?.aborted) return { removed, batches, lagSeconds };
      limit = batch.busy === 0 ? IDLE_BATCH : BATCH;
      await pause(Math.min(LONGEST_PAUSE_MS, tookMs * (IDLE_SHARE + batch.busy)));
    }
  }
}
