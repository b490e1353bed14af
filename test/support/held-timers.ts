/** Timers of the code under test that run when a test says so, in place of a real wait for a time-out. */

export interface HeldTimers {
  /** How many wait now. */
  readonly waiting: number;
  /** Their time is up: runs them all. */
  elapse(): void;
  /** From here on timers are what they were; those that wait never run. */
  restore(): void;
}

interface Held {
  readonly timer: NodeJS.Timeout;
  readonly run: () => void;
}

/** The longest that a timer can take, ms. */
const FOR_EVER_MS = 2 ** 31 - 1;

/** @param isHeld whether a timer of this length, ms, is held; all others run by themselves */
export function holdTimers(isHeld: (ms: number) => boolean): HeldTimers {
  const real = globalThis.setTimeout;
  let held: Held[] = [];
  const waiting = () => held.filter(({ timer }) => !isCleared(timer));
  const spy = jest.spyOn(globalThis, 'setTimeout').mockImplementation(((
    callback: (...args: unknown[]) => void,
    ms = 0,
    ...args: unknown[]
  ) => {
    if (!isHeld(ms)) return real(callback, ms, ...args);
    const timer = real(() => undefined, FOR_EVER_MS);
    held.push({ timer, run: () => callback(...args) });
    return timer;
  }) as typeof setTimeout);
  const clear = () => {
    const due = waiting();
    held = [];
    for (const { timer } of due) clearTimeout(timer);
    return due;
  };
  return {
    get waiting() {
      return waiting().length;
    },
    elapse: () => {
      for (const { run } of clear()) run();
    },
    restore: () => {
      clear();
      spy.mockRestore();
    },
  };
}

/** Node keeps that on the timer itself. */
const isCleared = (timer: NodeJS.Timeout): boolean =>
  (timer as NodeJS.Timeout & { readonly _destroyed: boolean })._destroyed;
