/** The retry budget and the circuit breaker of one origin. */
import { isOriginFailure, type Outcome } from './attempt';
import { RetryBudget } from './retry-budget';
import type { RetryPolicy } from './retry.options';

/** What all calls of a client to one origin share. */
export class OriginCircuit {
  readonly budget?: RetryBudget;
  private readonly breaker?: Exclude<RetryPolicy['breaker'], false>;
  private readonly jitter: RetryPolicy['jitter'];
  /** Failures in a row while the circuit is closed. */
  private failures = 0;
  /** When the circuit may be probed, ms since 1970; nothing while it is closed. */
  private probeAtMs?: number;
  private isProbed = false;

  constructor({ budget, breaker, jitter }: RetryPolicy) {
    if (budget) this.budget = new RetryBudget(budget.capacity, budget.earnPerSuccess);
    if (breaker) this.breaker = breaker;
    this.jitter = jitter;
  }

  /** Whether the circuit is open, and nothing probes it. */
  get isOpen(): boolean {
    return this.probeAtMs !== undefined && !this.isProbed;
  }

  /**
   * Runs an attempt unless the circuit is open. Once it may be probed, a single attempt runs; the others fail at
   * once, because a payment should rather fail than wait for the probe.
   *
   * @returns undefined where the attempt was not run
   */
  async run(attempt: () => Promise<Outcome>): Promise<Outcome | undefined> {
    if (this.probeAtMs === undefined) return this.runClosed(attempt);
    if (this.isProbed || Date.now() < this.probeAtMs) return undefined;
    return this.probe(attempt);
  }

  private async runClosed(attempt: () => Promise<Outcome>): Promise<Outcome> {
    // It throws only for the caller's abort, which says nothing about the origin.
    const outcome = await attempt();
    // Others may have opened the circuit meanwhile. Only a probe closes it.
    if (!this.breaker || this.probeAtMs !== undefined) return outcome;
    this.failures = isOriginFailure(outcome) ? this.failures + 1 : 0;
    if (this.failures >= this.breaker.failures) this.open(this.breaker.probeAfterMs);
    return outcome;
  }

  private async probe(attempt: () => Promise<Outcome>): Promise<Outcome> {
    this.isProbed = true;
    let isBack = false;
    try {
      const outcome = await attempt();
      isBack = !isOriginFailure(outcome);
      return outcome;
    } finally {
      // A probe that was aborted has not shown that the origin is back.
      this.isProbed = false;
      if (isBack) this.close();
      else if (this.breaker) this.open(this.breaker.probeAfterMs);
    }
  }

  /** Half of the time is fixed, and half is random, so that clients do not probe together. */
  private open(probeAfterMs: number): void {
    const share = this.jitter === 'none' ? 1 : (1 + Math.random()) / 2;
    this.probeAtMs = Date.now() + Math.floor(share * probeAfterMs);
  }

  private close(): void {
    this.probeAtMs = undefined;
    this.failures = 0;
  }
}
