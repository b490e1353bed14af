/** What is simulated: who calls, what serves, what breaks, and the policies that are compared. */
import type { Experiment, Outage, Population } from './run';
import type { ServerOptions } from './server';

export interface Policy {
  readonly name: string;
  readonly options: Experiment['policy'];
}

/** Each call decides for itself: nothing it learns is known to the next. */
const UNBOUNDED = { budget: false, breaker: false } as const;

/** Everything that is not named stands at the client's default, so the lines differ in what they name alone. */
export const policies = {
  noBackOff: { name: 'no back-off', options: { ...UNBOUNDED, baseDelayMs: 0 } },
  noJitter: { name: 'back-off, no jitter', options: { ...UNBOUNDED, jitter: 'none' } },
  fullJitter: { name: 'back-off, full jitter', options: UNBOUNDED },
  budgetAlone: { name: 'jitter, budget', options: { breaker: false } },
  ours: { name: 'jitter, budget, breaker', options: {} },
} as const satisfies Record<string, Policy>;

/** A thousand shops, with a client each: a payment every five seconds on average. */
export const shops: Population = { clients: 1_000, callsPerSecond: 0.2 };
/** The same 200 calls in a second from one shop's back end. */
export const fleet: Population = { clients: 20, callsPerSecond: 10 };

/** Serves 400 requests a second, twice what comes on a quiet day. Its queue is as good as endless, as in most servers. */
export const server: ServerOptions = { workers: 20, serviceMs: 50, queue: 10_000, roundTripMs: 20 };

/** Frozen for 2 s, so that many calls are under way when it dies; back 10 s later. */
const crash: Outage = { freezesAt: 5_000, diesAt: 7_000, endsAt: 17_000, untilMs: 40_000 };
/** Takes requests and sends no responses for 20 s, as with a locked database, then executes the waiting requests. */
const stall: Outage = { freezesAt: 5_000, endsAt: 25_000, untilMs: 90_000 };
/** Long enough for what a full budget allows not to count any more. */
const longCrash: Outage = { freezesAt: 5_000, diesAt: 7_000, endsAt: 187_000, untilMs: 200_000 };
export const outages = { crash, stall, longCrash } as const;

/** An experiment in full size. */
export function experiment(
  { options }: Policy,
  population: Population,
  outage: Outage,
  seed: number,
): Experiment {
  return { policy: options, population, server, outage, seed };
}

/** The same in small, clients and server alike, for a first look and for the tests. */
export function scaledDown(whole: Experiment, factor: number): Experiment {
  const {
    population,
    server: { workers, queue },
  } = whole;
  return {
    ...whole,
    population: { ...population, clients: population.clients / factor },
    server: { ...whole.server, workers: workers / factor, queue: queue / factor },
  };
}
