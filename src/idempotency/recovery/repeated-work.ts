/** Work that is repeated on a timer of every process, until the process stops. */

export class RepeatedWork {
  private readonly cancel = new AbortController();
  private timer?: NodeJS.Timeout;
  private running: Promise<void> = Promise.resolve();

  /**
   * @param intervalMs pause between two runs, with jitter; 0 never runs it
   * @param work given a signal that fires when it is to stop early; must not reject
   * @param keepsAlive whether the process waits for the next run where it has nothing else to do
   */
  constructor(
    private readonly intervalMs: number,
    private readonly work: (signal: AbortSignal) => Promise<void>,
    private readonly keepsAlive: boolean,
  ) {}

  start(): void {
    if (this.intervalMs > 0) this.schedule();
  }

  /** Waits for a run that is in progress, while the database is still there. */
  async stop(): Promise<void> {
    this.cancel.abort();
    clearTimeout(this.timer);
    await this.running;
  }

  private schedule(): void {
    // Jitter: processes that started together must not ask the database together each time.
    const pauseMs = this.intervalMs * (0.75 + Math.random() / 2);
    this.timer = setTimeout(() => {
      this.running = this.work(this.cancel.signal).then(() => {
        if (!this.cancel.signal.aborted) this.schedule();
      });
    }, pauseMs);
    if (!this.keepsAlive) this.timer.unref();
  }
}
