/** The budget bounds the retries to an origin, over all calls. */
import { callReport } from '../../src/client';
import {
  responds,
  doesTheWork,
  losesBeforeTheWork,
  FaultyServer,
  payment,
  failure,
} from './faulty-server';
import { server, url, client, startAServerForEachTest } from './retries.fixture';

startAServerForEachTest();

describe('the budget', () => {
  /** Calls one after the other; the attempts that each took. */
  async function calls(fetch: typeof globalThis.fetch, count: number): Promise<number> {
    const before = server.seen.length;
    for (let n = 0; n < count; n += 1) await fetch(url, payment).catch(() => undefined);
    return server.seen.length - before;
  }

  it('leaves ten retries to an origin that sends no responses, however many calls there are', async () => {
    server.otherwise = responds(503);
    const fetch = client({ breaker: false });
    expect(await calls(fetch, 100)).toBe(110);
    const response = await fetch(url, payment);
    expect(callReport(response)?.gaveUp).toMatchObject({ reason: 'budget', attempts: 1 });
    expect(callReport(response)?.gaveUp?.message).toContain('the retry budget of this origin');
  });

  it('gives up with an error where there is no response to return', async () => {
    server.otherwise = losesBeforeTheWork;
    const fetch = client({ breaker: false, budget: { capacity: 2 } });
    const error = await failure(fetch(url, payment));
    expect(error).toMatchObject({ reason: 'budget', attempts: 3 });
  });

  it('earns a retry with ten responses, and no more than its capacity', async () => {
    server.otherwise = responds(503);
    const fetch = client({ breaker: false });
    await calls(fetch, 2);
    server.otherwise = responds(402); // declined, but a response
    await calls(fetch, 9);
    server.otherwise = responds(503);
    expect(await calls(fetch, 1)).toBe(1);
    server.otherwise = doesTheWork;
    await calls(fetch, 1);
    server.otherwise = responds(503);
    expect(await calls(fetch, 1)).toBe(2);
    server.otherwise = doesTheWork;
    await calls(fetch, 150);
    server.otherwise = responds(503);
    expect(await calls(fetch, 100)).toBe(110);
  });

  it('is of each origin its own', async () => {
    const other = await FaultyServer.start();
    server.otherwise = responds(503);
    const fetch = client({ breaker: false });
    await calls(fetch, 10);
    other.plan(responds(503));
    expect((await fetch(other.url, payment)).status).toBe(200);
    await other.close();
  });

  it('is not earned by a 5xx, though the server says that it is final', async () => {
    const fetch = client({ breaker: false, budget: { capacity: 1, earnPerSuccess: 1 } });
    server.otherwise = responds(503);
    expect(await calls(fetch, 1)).toBe(2);
    server.plan(responds(500, { 'stripe-should-retry': 'false' }));
    expect(await calls(fetch, 2)).toBe(2);
  });

  it('can be lifted, and set', async () => {
    server.otherwise = responds(503);
    expect(await calls(client({ breaker: false, budget: false }), 3)).toBe(24);
    expect(await calls(client({ breaker: false, budget: { capacity: 1 } }), 3)).toBe(4);
    server.plan(responds(503), doesTheWork, responds(503), doesTheWork);
    const generous = client({ budget: { capacity: 1, earnPerSuccess: 1 } });
    expect(await calls(generous, 2)).toBe(4);
  });
});
