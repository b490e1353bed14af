/**
 * The database's clock as far as it is known here (R5): the latest it can say, counted on a
 * monotonic clock since it was last asked. Whether a kept answer has expired is judged by that, so
 * that a process never takes a life for longer than the database does, whatever its own clock says.
 */
import { Injectable } from '@nestjs/common';

/**
 * How long one answer of the database is counted on from, ms: a machine that was suspended stops the
 * monotonic clock too, and must ask again.
 */
const TRUST_MS = 10_000;

@Injectable()
export class DatabaseClock {
  #askedMs = -Infinity;
  #aheadMs = 0;

  /**
   * @param nowMs what the database said, ms since 1970
   * @param askedMs when it was asked, by `performance.now()`: it has read its clock after that
   */
  heard(nowMs: number, askedMs: number): void {
    this.#askedMs = askedMs;
    this.#aheadMs = nowMs + 1 - askedMs; // a Date is cut to whole milliseconds
  }

  /** The latest time the database's clock can show, ms since 1970; nothing when it must be asked. */
  latestMs(): number | undefined {
    const now = performance.now();
    return now - this.#askedMs > TRUST_MS ? undefined : now + this.#aheadMs;
  }
}
