/** Ten tenths are a little less than one. */
const ROUNDING = 1e-9;

/**
 * A token bucket that bounds the retries at one origin: a retry costs a token, an answer that settles its
 * call earns a fraction of one, and nothing else refills it. While an origin answers nothing at all, a
 * full bucket is the last of the retries: the load on it stays close to that of the first attempts.
 * (The retry throttling of gRPC, proposal A6, is the same idea.)
 */
export class RetryBudget {
  #tokens: number;

  /**
   * @param capacity tokens in the full bucket, and at the start
   * @param earnPerSuccess tokens that a success puts back
   */
  constructor(
    private readonly capacity: number,
    private readonly earnPerSuccess: number,
  ) {
    this.#tokens = capacity;
  }

  /** Whether a retry may be made; if so, it is paid for. */
  take(): boolean {
    if (this.#tokens < 1 - ROUNDING) return false;
    this.#tokens -= 1;
    return true;
  }

  earn(): void {
    this.#tokens = Math.min(this.capacity, this.#tokens + this.earnPerSuccess);
  }
}
