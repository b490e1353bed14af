/** Waits for a condition that has to be polled, such as the state of a connection, and for events. */
import { type EventEmitter, once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Calls `check` until it is true.
 *
 * @param patienceMs after which it is an error that names what was waited for. It bounds a wait that would
 * never end, and says nothing about how fast anything is: shorter than the time-out of a test, and far
 * longer than a slow machine needs.
 */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  patienceMs = 90_000,
): Promise<void> {
  const started = performance.now();
  while (!(await check())) {
    if (performance.now() - started > patienceMs) throw new Error(`It did not happen: ${what}.`);
    await pause(5);
  }
}

/**
 * The arguments of an event, if it comes before another one.
 *
 * @param ended makes the error for the case that the other event comes first
 */
export async function onceBefore(
  emitter: EventEmitter,
  event: string,
  end: string,
  ended: () => Error,
): Promise<unknown[]> {
  const over = new AbortController();
  const { signal } = over;
  try {
    return await Promise.race([
      once(emitter, event, { signal }),
      once(emitter, end, { signal }).then(() => {
        throw ended();
      }),
    ]);
  } finally {
    over.abort();
  }
}
