/** The budget that bounds the retries at one origin. */

/** In floating point, ten times 0.1 is a little less than 1. */
const ROUNDING = 1e-9;

/**
 * A token bucket. A retry costs a token, a response that ends its call earns a fraction of one, and nothing
 * else refills it. While an origin sends no responses, the retries end with the bucket: the load on the
 * origin stays close to that of the first attempts. gRPC's retry throttling (proposal A6) works alike.
 */
export class RetryBudget {
  private tokens: number;

  /**
   * @param capacity tokens in the full bucket, and at the start
   * @param earnPerSuccess tokens that a success puts back
   */
  constructor(
    private readonly capacity: number,
    private readonly earnPerSuccess: number,
  ) {
    this.tokens = capacity;
  }

  /**
   * Takes a token for a retry.
   *
   * @returns false where there is none: no retry then
   */
  take(): boolean {
    if (this.tokens < 1 - ROUNDING) return false;
    this.tokens -= 1;
    return true;
  }

  /** Puts `earnPerSuccess` back. */
  earn(): void {
    this.tokens = Math.min(this.capacity, this.tokens + this.earnPerSuccess);
  }
}
