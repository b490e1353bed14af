/** What the guide says of the client's policy, checked on a fraction of everything: see bench/retries. */
import * as are from '../../bench/retries/experiments';
import { type Outage, type Population, type Result, simulate } from '../../bench/retries/run';

const { noBackOff, noJitter, fullJitter, budgetAlone, ours } = are.policies;

/** Long for a machine that is busy with other suites: on a free one, none takes five seconds. */
jest.setTimeout(300_000);

interface Chosen {
  readonly seed?: number;
  /** How much smaller than in the guide. */
  readonly factor?: number;
}

function run(
  policy: are.Policy,
  population: Population,
  outage: Outage,
  { seed = 1, factor = 5 }: Chosen = {},
): Promise<Result> {
  return simulate(are.scaledDown(are.experiment(policy, population, outage, seed), factor));
}

describe('a server that crashes under a thousand shops', () => {
  let results: Record<'none' | 'even' | 'full' | 'ours', Result>;
  beforeAll(async () => {
    results = {
      none: await run(noBackOff, are.shops, are.outages.crash),
      even: await run(noJitter, are.shops, are.outages.crash),
      full: await run(fullJitter, are.shops, are.outages.crash),
      ours: await run(ours, are.shops, are.outages.crash),
    };
  });

  it('is hit by every retry at once where there is no back-off', () => {
    expect(results.none.peak).toBeGreaterThan(3 * results.even.peak);
    expect(results.none.amplification).toBeGreaterThan(7);
  });

  it('is hit by waves after it is back where there is no jitter', () => {
    expect(results.even.peakAfter).toBeGreaterThan(2 * results.full.peakAfter);
  });

  it('is hit by no more than its usual traffic after it is back where there are budget and breaker', () => {
    expect(results.full.peakAfter).toBeGreaterThan(2 * results.ours.peakAfter);
    expect(results.ours.peakAfter).toBeLessThan(2 * usualPeak(results.ours));
  });

  it('sees the same calls whatever the policy', () => {
    const calls = Object.values(results).map((result) => result.calls);
    expect(new Set(calls).size).toBe(1);
  });
});

describe('a server that stalls', () => {
  it('never comes back under retries without a budget, and does with one', async () => {
    const unbounded = await run(fullJitter, are.fleet, are.outages.stall, { factor: 10 });
    const withBudget = await run(budgetAlone, are.fleet, are.outages.stall, { factor: 10 });
    const withBreaker = await run(ours, are.fleet, are.outages.stall, { factor: 10 });
    expect(unbounded.recoveryMs).toBeUndefined();
    expect(withBudget.recoveryMs).toBeLessThan(25_000);
    expect(withBreaker.recoveryMs).toBeLessThan(withBudget.recoveryMs ?? 0);
    expect(withBudget.wasted).toBeLessThan(unbounded.wasted / 3);
    expect(unbounded.amplification).toBeGreaterThan(1.3);
    expect(withBudget.amplification).toBeLessThanOrEqual(1.1);
  });
});

describe('the retry budget', () => {
  it('holds the traffic of a back end in a crash to 1.1 times its calls', async () => {
    const unbounded = await run(fullJitter, are.fleet, are.outages.crash);
    const withBudget = await run(budgetAlone, are.fleet, are.outages.crash);
    const withBreaker = await run(ours, are.fleet, are.outages.crash);
    expect(unbounded.amplification).toBeGreaterThan(5);
    expect(withBudget.amplification).toBeLessThanOrEqual(1.1);
    expect(withBreaker.amplification).toBeLessThan(withBudget.amplification / 2);
  });

  it('holds the traffic of a thousand shops in a long outage to 1.1 times their calls', async () => {
    const { amplification } = await run(ours, are.shops, are.outages.longCrash);
    expect(amplification).toBeLessThanOrEqual(1.1);
  });
});

describe('a simulation', () => {
  it('is the same for the same seed, and another for another', async () => {
    const first = await run(ours, are.shops, are.outages.crash, { seed: 7 });
    const second = await run(ours, are.shops, are.outages.crash, { seed: 7 });
    const other = await run(ours, are.shops, are.outages.crash, { seed: 8 });
    expect(second).toEqual(first);
    expect(other.arrivals).not.toEqual(first.arrivals);
  });

  it('leaves the clock and the chance of the process as they were', async () => {
    const { random } = Math;
    const { now } = Date;
    await run(ours, are.fleet, are.outages.crash);
    expect(Math.random).toBe(random);
    expect(Date.now).toBe(now);
  });
});

/** The highest bar before the outage. */
function usualPeak({ arrivals }: Result): number {
  return Math.max(...arrivals.slice(0, are.outages.crash.freezesAt / 100));
}
