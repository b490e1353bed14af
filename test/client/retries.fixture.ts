/** A server that fails as a test plans it, and clients that retry against it, fresh for each test. */
import { createRetryingFetch, type RetryEvent } from '../../src/client';
import { type HeldTimers, holdTimers } from '../support/held-timers';
import { FaultyServer } from './faulty-server';

export type Options = NonNullable<Parameters<typeof createRetryingFetch>[0]>;

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** Of the test that is running. */
export let server: FaultyServer;
/** Where the server takes payments. */
export let url: string;
/** What `onRetry` of `client` has heard. */
export let events: RetryEvent[];
/** Ends what a test that failed has left waiting. */
export let over: AbortController;

/** To be called once in a test file. */
export function startAServerForEachTest(): void {
  beforeEach(async () => {
    over = new AbortController();
    server = await FaultyServer.start();
    url = `${server.url}/v1/payment_intents`;
    events = [];
  });
  afterEach(async () => {
    over.abort();
    await server.close();
  });
}

/** Quick pauses, so that a test of what is retried need not wait. */
export const client = (options: Options = {}) =>
  createRetryingFetch({ baseDelayMs: 2, onRetry: (event) => events.push(event), ...options });

/** With bounds off that another test is about. */
export const only = (options: Options) => client({ budget: false, breaker: false, ...options });

/** What times the attempts of `patient` out, with `timers.elapse()`. */
export let timers: HeldTimers;

/** To be called once in a test file that uses `patient`. */
export function holdTheTimersOfEachTest(): void {
  beforeEach(() => (timers = holdTimers((ms) => ms === HOUR_MS)));
  afterEach(() => timers.restore());
}

/** A client whose attempts time out when `timers.elapse()` says so. */
export const patient = (options: Options = {}) =>
  client({ attemptTimeoutMs: HOUR_MS, deadlineMs: DAY_MS, ...options });

export const reasons = () => events.map(({ reason }) => reason);

/** How long something takes at least, ms, and what comes of it. */
export async function timed<T>(work: Promise<T>): Promise<[number, T]> {
  const begun = performance.now();
  const result = await work;
  return [performance.now() - begun, result];
}
