/** Keeps a warning that repeats from filling the log. */

export class WarningInterval {
  private text = '';
  private nextAt = Number.NEGATIVE_INFINITY;

  /** @param intervalMs after which the same warning is logged again */
  constructor(private readonly intervalMs: number) {}

  /** Whether to log a warning now: another text than the last one, or the same after the interval. */
  isDue(text = ''): boolean {
    const now = performance.now();
    if (text === this.text && now < this.nextAt) return false;
    this.text = text;
    this.nextAt = now + this.intervalMs;
    return true;
  }
}
