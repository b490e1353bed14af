/**
 * recovery/: finishes what crashed owners left (R11, R19). Each request whose lease has expired is sent
 * again as its account, through the same pipeline, which takes the key over like a client's retry. Beside
 * it stands the purge of expired keys.
 */
import { Inject, Injectable, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../contract/idempotency.options';
import { type AbandonedKey, KeyStore } from '../store/key.store';
import { leaseMsFor } from '../attempts/phase-runner';
import { resendRequest } from './resend';

/** Most abandoned keys of one run; the next run finds the others. */
const MAX_KEYS_PER_RUN = 200;
/** Most requests at once: each may take the far side's whole deadline. */
const MAX_CONCURRENT = 8;
/**
 * Pause before the next attempt of a request that failed again, ms: doubled each time, with jitter, up to
 * one lease. Clients' retries count as attempts too. Once the far side works again, every request is final
 * within one lease and two runs.
 */
const FIRST_RESEND_PAUSE_MS = 1_000;

/** What one run did. */
export interface RecoveryReport {
  /** Abandoned keys that were due, up to the maximum of a run. */
  found: number;
  /** No longer abandoned: finished by this run, or by a client's retry, or running in one. */
  finished: number;
  /** Failed again and due later, or could not be sent from this process and still due. */
  postponed: number;
  /** Failed for too long: left for a person to inspect, and never deleted. */
  parked: number;
}

@Injectable()
export class RecoveryJob {
  private readonly log = new Logger(RecoveryJob.name);

  constructor(
    private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    private readonly host: HttpAdapterHost,
  ) {}

  /**
   * Sends the abandoned requests that are due, a bounded number at once.
   *
   * @param signal stops it before the next request
   */
  async runOnce(signal?: AbortSignal): Promise<RecoveryReport> {
    const abandoned = await this.store.findAbandoned(MAX_KEYS_PER_RUN);
    const report = { found: abandoned.length, finished: 0, postponed: 0, parked: 0 };
    const queue = abandoned.values(); // shared: each lane takes the next
    const lane = async () => {
      for (const key of queue) {
        if (signal?.aborted) return;
        report[await this.recover(key)] += 1;
      }
    };
    await Promise.all(Array.from({ length: MAX_CONCURRENT }, lane));
    return report;
  }

  private async recover(key: AbandonedKey): Promise<'finished' | 'postponed' | 'parked'> {
    const { id, request, attempt } = key;
    let status: number;
    try {
      status = await this.options.runAs(id, () => resendRequest(this.host, key));
    } catch (error) {
      // This process cannot send it, but another may: the row stays due.
      this.log.warn(`Abandoned ${request.url} could not be sent: ${(error as Error).message}`);
      return 'postponed';
    }
    const maxMs = leaseMsFor(this.options.remoteDeadlineMs);
    const pauseMs = Math.min(FIRST_RESEND_PAUSE_MS * 2 ** Math.min(attempt - 1, 20), maxMs);
    const jitteredMs = Math.round(pauseMs * (0.75 + Math.random() / 4));
    const state = await this.store.postpone(id, jitteredMs, this.options.parkAfterSeconds);
    if (state === 'parked') {
      this.log.error(
        `${request.method} ${request.url} (request ${key.originalRequest}) has not finished for ` +
          `${this.options.parkAfterSeconds} s (status ${status}) and is left for a person to look at.`,
      );
    }
    return state ?? 'finished';
  }
}
