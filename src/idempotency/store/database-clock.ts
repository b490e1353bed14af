/**
 * The latest time that the database's clock can show (R5): its last reading, counted on with this
 * process's monotonic clock. It decides whether a cached response has expired, so that no process takes a
 * life for longer than the database does, whatever its own clock says.
 */
import { Injectable } from '@nestjs/common';

/**
 * How long one reading is counted on from, ms. A machine that was suspended stops the monotonic clock
 * too, so an older reading is not trusted.
 */
const READING_TRUST_MS = 10_000;

@Injectable()
export class DatabaseClock {
  private askedMs = -Infinity;
  private aheadMs = 0;

  /**
   * @param nowMs what the database's clock showed, ms since 1970
   * @param askedMs when it was asked, by `performance.now()`: the database read its clock after that
   */
  recordReading(nowMs: number, askedMs: number): void {
    this.askedMs = askedMs;
    this.aheadMs = nowMs + 1 - askedMs; // a Date is cut to whole milliseconds
  }

  /** Ms since 1970; nothing without a reading that is recent enough. */
  latestMs(): number | undefined {
    const now = performance.now();
    return now - this.askedMs > READING_TRUST_MS ? undefined : now + this.aheadMs;
  }

  /** Whether this moment, ms since 1970, is surely to come; false without a recent reading. */
  isAhead(timeMs: number): boolean {
    const nowMs = this.latestMs();
    return nowMs !== undefined && nowMs < timeMs;
  }
}
