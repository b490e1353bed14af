/**
 * Where duplicates wait for the owner's answer (R8). They hold no connection: for each key one of
 * them at a time looks at the store, at growing intervals with jitter, and shares what it finds.
 */

/** What a waiter is told: the answer, that it is its turn to look, or that time is up. */
export type Turn<Row> = { readonly row: Row } | 'look' | 'time is up';

/** Bounds of the interval between two looks at one key, ms. */
const FIRST_INTERVAL_MS = 20;
const LONGEST_INTERVAL_MS = 250;

interface Waiter<Row> {
  tell(turn: Turn<Row>): void;
}

interface Queue<Row> {
  readonly waiters: Waiter<Row>[];
  /** Set while the first in line waits for its turn; unset while somebody looks. */
  timer?: NodeJS.Timeout;
  intervalMs: number;
}

export class WaitingRoom<Row> {
  readonly #queues = new Map<string, Queue<Row>>();
  #waiting = 0;

  /** @param capacity how many may wait at once; one more is told at once that time is up */
  constructor(private readonly capacity: number) {}

  /** Requests waiting now. */
  get size(): number {
    return this.#waiting;
  }

  /**
   * Waits for a turn.
   *
   * @param untilMs on the clock of `performance.now()`
   * @param looked whether the caller has just had its turn, and so stands first in line
   */
  turn(key: string, untilMs: number, looked: boolean): Promise<Turn<Row>> {
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0 || this.#waiting >= this.capacity) {
      if (looked) this.left(key);
      return Promise.resolve('time is up');
    }
    return new Promise((resolve) => {
      const queue = this.queue(key);
      const waiter: Waiter<Row> = {
        tell: (turn) => {
          clearTimeout(overdue);
          this.#waiting -= 1;
          queue.waiters.splice(queue.waiters.indexOf(waiter), 1);
          resolve(turn);
        },
      };
      const overdue = setTimeout(() => {
        waiter.tell('time is up');
        if (queue.waiters.length === 0) this.close(key, queue);
      }, leftMs);
      this.#waiting += 1;
      if (looked) queue.waiters.unshift(waiter);
      else queue.waiters.push(waiter);
      if (looked || (!queue.timer && queue.waiters.length === 1)) this.schedule(key, queue);
    });
  }

  /** The one whose turn it was did not come back to wait: the next in line looks later. */
  left(key: string): void {
    const queue = this.#queues.get(key);
    if (queue) this.schedule(key, queue);
  }

  /** The owner, in this process, has stored its answer: everybody has it. */
  answered(key: string, row: Row): void {
    const queue = this.#queues.get(key);
    if (!queue) return;
    this.close(key, queue);
    for (const waiter of queue.waiters.slice()) waiter.tell({ row });
  }

  /** The owner, in this process, has ended without an answer: the first in line looks at once. */
  freed(key: string): void {
    const queue = this.#queues.get(key);
    if (!queue?.timer) return;
    clearTimeout(queue.timer);
    this.look(key, queue);
  }

  private queue(key: string): Queue<Row> {
    const queue = this.#queues.get(key) ?? { waiters: [], intervalMs: FIRST_INTERVAL_MS };
    this.#queues.set(key, queue);
    return queue;
  }

  private schedule(key: string, queue: Queue<Row>): void {
    clearTimeout(queue.timer);
    const jitteredMs = queue.intervalMs * (0.5 + Math.random());
    queue.intervalMs = Math.min(queue.intervalMs * 1.5, LONGEST_INTERVAL_MS);
    queue.timer = setTimeout(() => this.look(key, queue), jitteredMs);
  }

  private look(key: string, queue: Queue<Row>): void {
    queue.timer = undefined;
    const first = queue.waiters[0];
    if (first) first.tell('look');
    else this.close(key, queue);
  }

  private close(key: string, queue: Queue<Row>): void {
    clearTimeout(queue.timer);
    if (this.#queues.get(key) === queue) this.#queues.delete(key);
  }
}
