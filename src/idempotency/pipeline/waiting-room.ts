/**
 * Where copies of a request wait for the response of the running request (R8). They hold no connection. For each
 * key one of them at a time reads the store, at growing intervals with jitter, and all get what it finds.
 */

/** Why a wait ended: with the finished row, with the waiter's turn to read the store, or with its time. */
export type Turn<Row> = { readonly row: Row } | 'read' | 'time is up';

/** Bounds of the interval between two reads of one key, ms. */
const INITIAL_INTERVAL_MS = 20;
const MAX_INTERVAL_MS = 250;

interface Waiter<Row> {
  notify(turn: Turn<Row>): void;
}

interface Queue<Row> {
  readonly waiters: Waiter<Row>[];
  /** Set while the first waiter waits for its turn; unset while one reads the store. */
  timer?: NodeJS.Timeout;
  intervalMs: number;
}

/** @typeParam Row what a waiter gets: the finished key */
export class WaitingRoom<Row> {
  private readonly queues = new Map<string, Queue<Row>>();
  private waiting = 0;

  /** @param capacity how many may wait at once; for one more the time is up at once */
  constructor(private readonly capacity: number) {}

  /** How many requests wait now. */
  get size(): number {
    return this.waiting;
  }

  /**
   * Waits for the row or for a turn to read the store.
   *
   * @param untilMs on the clock of `performance.now()`
   * @param hadTurn whether the caller has just had its turn, and so is first in line again
   */
  waitForTurn(key: string, untilMs: number, hadTurn: boolean): Promise<Turn<Row>> {
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0 || this.waiting >= this.capacity) {
      if (hadTurn) this.passTurn(key);
      return Promise.resolve('time is up');
    }
    return new Promise((resolve) => {
      const queue = this.queue(key);
      const waiter: Waiter<Row> = {
        notify: (turn) => {
          clearTimeout(overdue);
          this.waiting -= 1;
          queue.waiters.splice(queue.waiters.indexOf(waiter), 1);
          resolve(turn);
        },
      };
      const overdue = setTimeout(() => {
        waiter.notify('time is up');
        if (queue.waiters.length === 0) this.close(key, queue);
      }, leftMs);
      this.waiting += 1;
      if (hadTurn) queue.waiters.unshift(waiter);
      else queue.waiters.push(waiter);
      if (hadTurn || (!queue.timer && queue.waiters.length === 1)) this.schedule(key, queue);
    });
  }

  /** The waiter whose turn it was does not come back: the next in line reads later. */
  passTurn(key: string): void {
    const queue = this.queues.get(key);
    if (queue) this.schedule(key, queue);
  }

  /** The running request, in this process, has stored its response: all waiters of the key get it. */
  notifyWaiters(key: string, row: Row): void {
    const queue = this.queues.get(key);
    if (!queue) return;
    this.close(key, queue);
    for (const waiter of queue.waiters.slice()) waiter.notify({ row });
  }

  /** The running request, in this process, ended without a stored response: the first in line reads now. */
  wakeWaiters(key: string): void {
    const queue = this.queues.get(key);
    if (!queue?.timer) return;
    clearTimeout(queue.timer);
    this.giveTurn(key, queue);
  }

  private queue(key: string): Queue<Row> {
    const queue = this.queues.get(key) ?? { waiters: [], intervalMs: INITIAL_INTERVAL_MS };
    this.queues.set(key, queue);
    return queue;
  }

  private schedule(key: string, queue: Queue<Row>): void {
    clearTimeout(queue.timer);
    const jitteredMs = queue.intervalMs * (0.5 + Math.random());
    queue.intervalMs = Math.min(queue.intervalMs * 1.5, MAX_INTERVAL_MS);
    queue.timer = setTimeout(() => this.giveTurn(key, queue), jitteredMs);
  }

  private giveTurn(key: string, queue: Queue<Row>): void {
    queue.timer = undefined;
    const first = queue.waiters[0];
    if (first) first.notify('read');
    else this.close(key, queue);
  }

  private close(key: string, queue: Queue<Row>): void {
    clearTimeout(queue.timer);
    if (this.queues.get(key) === queue) this.queues.delete(key);
  }
}
