/** A circuit breaker: what has failed several times in a row is not asked for a while. */

/** The circuit is open, and the work was not done. */
export class CircuitOpenError extends Error {}

export class CircuitBreaker {
  /** Failures in a row. */
  private failures = 0;
  /** When the circuit was opened, or last probed, by `performance.now()`. */
  private openedMs = 0;

  /**
   * @param maxFailures in a row, after which the circuit opens
   * @param breakMs after which one piece of work is let through to probe it, and the next after as long again
   */
  constructor(
    private readonly maxFailures: number,
    private readonly breakMs: number,
  ) {}

  /**
   * Does the work unless the circuit is open.
   *
   * @throws CircuitOpenError where the work was not done, and what `work` throws
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.failures >= this.maxFailures) {
      const now = performance.now();
      if (now - this.openedMs < this.breakMs) throw new CircuitOpenError();
      this.openedMs = now; // this one probes it: the others stay out
    }
    try {
      const result = await work();
      this.failures = 0;
      return result;
    } catch (error) {
      this.failures += 1;
      this.openedMs = performance.now();
      throw error;
    }
  }
}
