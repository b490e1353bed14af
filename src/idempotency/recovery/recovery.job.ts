/**
 * Finishes what crashed owners left behind (R11, R19): each request whose lease has expired is sent
 * again as the account that sent it, through the same pipeline, which takes it over like any retry.
 */
import { Inject, Injectable, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../contract/idempotency.options';
import { type AbandonedKey, KeyStore } from '../store/key.store';
import { PhasedAttempt } from '../attempts/phased-attempt';
import { sendRecorded } from '../request/recorded-request';

/** Abandoned keys looked at in one run; the next run finds the others. */
const MOST_PER_RUN = 200;
/** Requests under way at once: each may wait for the far side's whole deadline. */
const AT_ONCE = 8;
/**
 * Pause before the next try of a request that failed again, ms: doubled each time, with jitter, up to
 * one lease. Clients' retries count as tries too, and once the far side is back everything must be
 * final within a lease and two runs.
 */
const FIRST_PAUSE_MS = 1_000;

/** What one run did. */
export interface RecoveryReport {
  found: number;
  /** Finished, by this run or meanwhile by another. */
  finished: number;
  /** Failed again; tried again later. */
  postponed: number;
  /** Failed for too long: left for a person, counted, never dropped. */
  parked: number;
}

@Injectable()
export class RecoveryJob {
  readonly #log = new Logger(RecoveryJob.name);

  constructor(
    @Inject(KeyStore) private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    private readonly host: HttpAdapterHost,
  ) {}

  /** Goes through what is abandoned now, a bounded number at once, until done or told to stop. */
  async runOnce(signal?: AbortSignal): Promise<RecoveryReport> {
    const abandoned = await this.store.findAbandoned(MOST_PER_RUN);
    const report = { found: abandoned.length, finished: 0, postponed: 0, parked: 0 };
    const queue = abandoned.values(); // shared: each lane takes the next
    const lane = async () => {
      for (const key of queue) {
        if (signal?.aborted) return;
        report[await this.recover(key)] += 1;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return report;
  }

  private async recover(key: AbandonedKey): Promise<'finished' | 'postponed' | 'parked'> {
    const { id, request, claimId, attempt } = key;
    let status: number;
    try {
      status = await this.options.runAs(id, () =>
        sendRecorded(this.host, request, id.key, claimId),
      );
    } catch (error) {
      // This process cannot send: another may, so the row's turn is not used up.
      this.#log.warn(`Abandoned ${request.url} could not be sent: ${(error as Error).message}`);
      return 'postponed';
    }
    const longestMs = PhasedAttempt.leaseMs(this.options.remoteDeadlineMs);
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempt - 1, 20), longestMs);
    const jitteredMs = Math.round(pauseMs * (0.75 + Math.random() / 4));
    const left = await this.store.postpone(id, jitteredMs, this.options.parkAfterSeconds);
    if (left === 'parked') {
      this.#log.error(
        `${request.method} ${request.url} (request ${key.originalRequest}) has not finished for ` +
          `${this.options.parkAfterSeconds} s (status ${status}) and is left for a person to look at.`,
      );
    }
    return left ?? 'finished';
  }
}
