/** Removes keys whose life is over (R18): in bounded batches, with pauses, skipping locked rows. */
import { setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { KeyStore } from '../store/key.store';

/** Rows of one batch: a short transaction, and a longer one while all other sessions are idle. */
const BATCH_ROWS = 1_000;
const IDLE_BATCH_ROWS = 5_000;
/** Pause after a batch = its duration × (this + busy sessions), so that the purge slows down under load. */
const PAUSE_RATIO = 0.25;
/** Longest pause between two batches, ms. */
const MAX_PURGE_PAUSE_MS = 1_000;

/** What one run did. */
export interface PurgeReport {
  /** Keys. */
  removed: number;
  batches: number;
  /** How long the oldest expired key had been expired when the run began. */
  lagSeconds: number;
}

@Injectable()
export class PurgeJob {
  constructor(private readonly store: KeyStore) {}

  /**
   * Runs to the end of the backlog, or until `signal` is aborted.
   */
  async runOnce(signal?: AbortSignal): Promise<PurgeReport> {
    const { purgeLagSeconds: lagSeconds } = await this.store.backlog();
    let removed = 0;
    let limit = BATCH_ROWS;
    for (let batches = 1; ; batches += 1) {
      const startedMs = performance.now();
      const batch = await this.store.purge(limit);
      const tookMs = performance.now() - startedMs;
      removed += batch.removed;
      if (batch.removed < limit || signal?.aborted) return { removed, batches, lagSeconds };
      limit = batch.busy === 0 ? IDLE_BATCH_ROWS : BATCH_ROWS;
      await pause(Math.min(MAX_PURGE_PAUSE_MS, tookMs * (PAUSE_RATIO + batch.busy)));
    }
  }
}
