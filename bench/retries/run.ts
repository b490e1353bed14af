/** One run of the simulation: many clients, one server, an outage, on a virtual clock. */
import { install } from '@sinonjs/fake-timers';
import { createRetryingFetch, type RetryOptions } from '../../src/client';
import { Chance } from '../../test/reliability/random';
import { type ServerOptions, SimulatedServer } from './server';

/** Processes with a client each, and what they have to send. */
export interface Population {
  readonly clients: number;
  /** Calls of one client in a second on average; they come by chance (Poisson). */
  readonly callsPerSecond: number;
}

/** When what happens, ms from the start. */
export interface Outage {
  readonly freezesAt: number;
  /** Unset: it stays frozen and never dies. */
  readonly diesAt?: number;
  readonly endsAt: number;
  /** The end of the run. */
  readonly untilMs: number;
}

export interface Experiment {
  readonly population: Population;
  readonly server: ServerOptions;
  readonly outage: Outage;
  /** What decides: the retrying client's own options, the simulated network excepted. */
  readonly policy: Omit<RetryOptions, 'fetch'>;
  readonly seed: number;
}

/** The width of one bar of the histogram, ms. */
export const BUCKET_MS = 100;
/** Buckets of a second. */
const SECOND = 1_000 / BUCKET_MS;
/** A call is well served when it succeeds in so many ms: ten times what it takes on a quiet day. */
const WELL_SERVED_MS = 1_000;
/** Recovered is when of the calls of every later second at least this share is well served. */
const HEALTHY_SHARE = 0.99;

export interface Result {
  /** Attempts that reached the server, dead or alive, per 100 ms. */
  readonly arrivals: number[];
  /** During the outage: calls that were begun, and attempts that were sent. */
  readonly calls: number;
  readonly attempts: number;
  /** Attempts for each call begun during the outage. 1 is a client that never retries. */
  readonly amplification: number;
  /** The same of the outage's second half alone: what is left when the first budgets are spent. */
  readonly lateAmplification: number;
  /** Most attempts in 100 ms from the beginning of the outage on, and after its end. */
  readonly peak: number;
  readonly peakAfter: number;
  /** Calls that failed for good, of all that were begun. */
  readonly failed: number;
  /** Requests that the server worked off for nobody. */
  readonly wasted: number;
  /** From the end of the outage until calls are well served, and stay so; undefined: not in this run. */
  readonly recoveryMs: number | undefined;
}

/** What became of the calls begun in one bucket. */
interface Begun {
  calls: number;
  wellServed: number;
}

export async function simulate(experiment: Experiment): Promise<Result> {
  const { population, outage, policy, seed } = experiment;
  const { random } = Math;
  const jitter = new Chance(seed);
  const clock = install({
    now: 0,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  Math.random = () => jitter.next();
  try {
    const buckets = Math.ceil(outage.untilMs / BUCKET_MS);
    const bucket = () => Math.min(buckets - 1, Math.floor(Date.now() / BUCKET_MS));
    const arrivals = Array.from({ length: buckets }, () => 0);
    const begun = Array.from({ length: buckets }, (): Begun => ({ calls: 0, wellServed: 0 }));
    let failed = 0;

    const server = new SimulatedServer(experiment.server, () => {
      const now = bucket();
      arrivals[now] = (arrivals[now] ?? 0) + 1;
    });

    const clients = Array.from({ length: population.clients }, () =>
      createRetryingFetch({ ...policy, fetch: server.fetch }),
    );
    // The calls come by a chance of their own, so that they are the same ones whatever the policy.
    begin(clients, population.callsPerSecond, new Chance(seed + 1), async (client) => {
      const beganAt = Date.now();
      const calls = begun[bucket()];
      if (calls) calls.calls += 1;
      const ok = await succeeds(client);
      if (!ok) failed += 1;
      else if (calls && Date.now() - beganAt <= WELL_SERVED_MS) calls.wellServed += 1;
    });

    setTimeout(() => server.freeze(), outage.freezesAt);
    if (outage.diesAt !== undefined) setTimeout(() => server.die(), outage.diesAt);
    setTimeout(() => server.start(), outage.endsAt);
    await clock.tickAsync(outage.untilMs);
    return measure(outage, arrivals, begun, { failed, wasted: server.wasted });
  } finally {
    Math.random = random;
    clock.uninstall();
  }
}

/** Lets every client call again and again, each at times of its own. */
function begin(
  clients: readonly (typeof fetch)[],
  callsPerSecond: number,
  chance: Chance,
  call: (client: typeof fetch) => Promise<void>,
): void {
  for (const client of clients) {
    const own = chance.fork();
    const next = () => {
      const pause = (-Math.log(1 - own.next()) / callsPerSecond) * 1_000;
      setTimeout(() => {
        next();
        void call(client);
      }, pause);
    };
    next();
  }
}

/**
 * A call of a shop. Its key is made by the client: to check one of the caller's takes a hash, which is
 * made on another thread, and the virtual clock would not wait for that.
 */
async function succeeds(client: typeof fetch): Promise<boolean> {
  try {
    const response = await client('https://payments.test/v1/payment_intents', {
      method: 'POST',
      body: 'amount=2000&currency=usd',
    });
    return response.ok;
  } catch {
    return false;
  }
}

function measure(
  { freezesAt, endsAt, untilMs }: Outage,
  arrivals: number[],
  begun: readonly Begun[],
  counts: Pick<Result, 'failed' | 'wasted'>,
): Result {
  const from = freezesAt / BUCKET_MS;
  const end = endsAt / BUCKET_MS;
  const attemptsSince = (start: number) => sum(arrivals.slice(start, end));
  const callsSince = (start: number) => sum(begun.slice(start, end).map(({ calls }) => calls));
  const [attempts, calls] = [attemptsSince(from), callsSince(from)];
  const middle = Math.round((from + end) / 2);
  // Backwards from the last second but one: the calls of the last may still be under way.
  const last = untilMs / BUCKET_MS - 2 * SECOND;
  let start = last;
  while (start >= end && healthy(begun.slice(start, start + SECOND))) start -= 1;
  return {
    arrivals,
    calls,
    attempts,
    amplification: attempts / calls,
    lateAmplification: attemptsSince(middle) / callsSince(middle),
    peak: Math.max(...arrivals.slice(from)),
    peakAfter: Math.max(...arrivals.slice(end)),
    recoveryMs: start === last ? undefined : (start + 1 - end) * BUCKET_MS,
    ...counts,
  };
}

function healthy(second: readonly Begun[]): boolean {
  const calls = sum(second.map((some) => some.calls));
  return sum(second.map(({ wellServed }) => wellServed)) >= HEALTHY_SHARE * calls;
}

function sum(figures: readonly number[]): number {
  return figures.reduce((total, figure) => total + figure, 0);
}
