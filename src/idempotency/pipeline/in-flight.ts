/** The calls of this process that are in flight: copies of one reuse its verdict (single flight, R8). */
import type { InUse, Verdict } from './decision';
import type { IdempotentCall } from './idempotent-call';

/**
 * For this long (ms), copies of an in-flight request reuse its verdict. Past it they ask the database: it
 * may have ended a transaction that this process still takes for open.
 */
const IN_FLIGHT_TRUST_MS = 200;

export class InFlight {
  private readonly byKey = new Map<
    string,
    { call: IdempotentCall; sinceMs: number; verdict: Promise<Verdict | InUse> }
  >();

  /**
   * The verdict on a call. Of copies that arrive together only the first reads the store.
   *
   * @param name of the call's key
   * @param decide reads the store and decides
   */
  async decideOnce(
    name: string,
    call: IdempotentCall,
    decide: () => Promise<Verdict | InUse>,
  ): Promise<Verdict | InUse> {
    const sinceMs = performance.now();
    const other = this.byKey.get(name);
    const isCopy = other?.call.fingerprint.hash === call.fingerprint.hash;
    if (other && isCopy && sinceMs - other.sinceMs < IN_FLIGHT_TRUST_MS) {
      const verdict = await other.verdict;
      return 'attempt' in verdict
        ? { inUseBy: verdict.attempt.life?.request.originalRequest }
        : verdict;
    }
    const verdict = decide();
    this.byKey.set(name, { call, sinceMs, verdict });
    let runs = false;
    try {
      runs = 'attempt' in (await verdict);
    } finally {
      if (!runs) this.clear(name, call);
    }
    return verdict;
  }

  /** From now on copies of this call ask the store themselves. */
  clear(name: string, call: IdempotentCall): void {
    if (this.byKey.get(name)?.call === call) this.byKey.delete(name);
  }
}
