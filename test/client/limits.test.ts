/** What bounds the retries: attempts, time, the caller, the budget, the circuit, other layers. */
import fc from 'fast-check';
import { callReport, createRetryingFetch, RetryError, type RetryEvent } from '../../src/client';
import { eventually } from '../support/eventually';
import { holdTimers } from '../support/held-timers';
import {
  responds,
  doesTheWork,
  failure,
  FaultyServer,
  hangs,
  hangsAfterTheHeaders,
  losesAfterTheWork,
  losesBeforeTheWork,
  payment,
} from './faulty-server';

let server: FaultyServer;
let events: RetryEvent[];
let url: string;
/** Ends what a test that failed has left waiting. */
let over: AbortController;

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

type Options = NonNullable<Parameters<typeof createRetryingFetch>[0]>;

const client = (options: Options = {}) =>
  createRetryingFetch({ baseDelayMs: 2, onRetry: (event) => events.push(event), ...options });

/** With bounds off that another test is about. */
const only = (options: Options) => client({ budget: false, breaker: false, ...options });

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** How long something takes at least, ms, and what comes of it. */
async function timed<T>(work: Promise<T>): Promise<[number, T]> {
  const begun = performance.now();
  const result = await work;
  return [performance.now() - begun, result];
}

describe('attempts', () => {
  it('are eight, and then the last response is returned and marked as final', async () => {
    server.otherwise = responds(503, { 'stripe-should-retry': 'true', 'x-mark': 'yes' }, '{"a":1}');
    const response = await only({})(url, payment);
    expect(server.seen).toHaveLength(8);
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ a: 1 });
    expect(response.url).toBe(url);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'stripe-should-retry': 'false',
      'x-mark': 'yes',
    });
    const report = callReport(response);
    expect(report).toMatchObject({ attempts: 8, idempotencyKey: server.keys[0] });
    expect(report?.gaveUp).toBeInstanceOf(RetryError);
    expect(report?.gaveUp).toMatchObject({ reason: 'attempts', mayHaveExecuted: true });
  });

  it('end with an error that says what may have happened and what to do', async () => {
    server.otherwise = losesAfterTheWork;
    const error = await failure(only({ maxAttempts: 3 })(`${url}?secret=1`, payment));
    const [key] = server.keys;
    expect(error).toMatchObject({
      name: 'RetryError',
      reason: 'attempts',
      attempts: 3,
      mayHaveExecuted: true,
      idempotencyKey: key,
      method: 'POST',
      url: `${url}?secret=1`,
      cause: { name: 'TypeError' },
    });
    expect(error.message).toBe(
      `POST ${url} was given up after 3 attempts: no more are allowed (the last one: connection-lost). ` +
        'It may have been executed. To find out, send the same request again with ' +
        `Idempotency-Key: ${key}, or ask a paidonce server: GET /v1/idempotency_keys/${key}.`,
    );
  });

  it('that never reached the server, or were turned away with 429, have not executed', async () => {
    const closed = await FaultyServer.start();
    const { url: nowhere } = closed;
    await closed.close();
    const error = await failure(only({ maxAttempts: 2 })(nowhere, payment));
    expect(error).toMatchObject({ attempts: 2, mayHaveExecuted: false });
    expect(error.message).toMatch(/connection-lost\)\. It was not executed\.$/);
    server.otherwise = responds(429);
    const response = await only({ maxAttempts: 2 })(url, payment);
    expect(callReport(response)?.gaveUp).toMatchObject({ attempts: 2, mayHaveExecuted: false });
  });

  it('may have executed when one of them was lost, whatever came later', async () => {
    server.plan(losesAfterTheWork);
    server.otherwise = responds(429);
    const response = await only({ maxAttempts: 3 })(url, payment);
    expect(callReport(response)?.gaveUp).toMatchObject({ attempts: 3, mayHaveExecuted: true });
  });

  it('of a GET say nothing about keys', async () => {
    server.otherwise = losesBeforeTheWork;
    const error = await failure(only({ maxAttempts: 1 })(url));
    expect(error.idempotencyKey).toBeUndefined();
    expect(error.message).toMatch(/after 1 attempt: .*\. It may have been executed\.$/);
  });
});

describe('pauses', () => {
  /** The pauses of one call whose attempts fail at once, as they are announced and as they are made. */
  async function pauses(options: Options, headers: Record<string, string> = {}) {
    jest.useFakeTimers();
    try {
      const announced: number[] = [];
      const sentAt: number[] = [];
      const failing = only({
        deadlineMs: 86_400_000,
        ...options,
        fetch: () => {
          sentAt.push(performance.now());
          return Promise.resolve(new Response(null, { status: 503, headers }));
        },
        onRetry: ({ pauseMs }) => announced.push(pauseMs),
      });
      const call = failing(url, payment);
      await jest.advanceTimersByTimeAsync(100_000);
      expect((await call).status).toBe(503);
      const made = sentAt.slice(1).map((at, n) => at - (sentAt[n] ?? 0));
      // A timer of 0 ms may take 1 ms.
      made.forEach((pause, n) => expect(Math.abs(pause - (announced[n] ?? NaN))).toBeLessThan(1.1));
      return announced;
    } finally {
      jest.useRealTimers();
    }
  }

  it('are drawn between 0 and an upper bound that doubles up to its cap', async () => {
    const bases = fc.integer({ min: 0, max: 2_000 });
    const caps = fc.integer({ min: 0, max: 10_000 });
    await fc.assert(
      fc.asyncProperty(bases, caps, async (baseDelayMs, maxDelayMs) => {
        const bounds = [0, 1, 2, 3, 4, 5].map((n) => Math.min(maxDelayMs, baseDelayMs * 2 ** n));
        const options = { baseDelayMs, maxDelayMs, maxAttempts: 7 };
        const jittered = await pauses(options);
        expect(jittered).toHaveLength(6);
        jittered.forEach((pause, n) => {
          expect(pause).toBeGreaterThanOrEqual(0);
          expect(pause).toBeLessThanOrEqual(bounds[n] ?? 0);
        });
        expect(await pauses({ ...options, jitter: 'none' })).toEqual(bounds);
        // Retry-After is a floor, not a replacement: those who were told the same second spread out.
        const floored = await pauses({ ...options, jitter: 'none' }, { 'retry-after': '1' });
        expect(floored).toEqual(bounds.map((bound) => bound + 1_000));
      }),
      { numRuns: 40 },
    );
  });

  it('use the whole of their interval', async () => {
    const options = { baseDelayMs: 1_000, maxAttempts: 2 };
    const drawn: number[] = [];
    for (let n = 0; n < 300; n += 1) drawn.push(...(await pauses(options)));
    expect(Math.min(...drawn)).toBeLessThan(100);
    expect(Math.max(...drawn)).toBeGreaterThan(900);
    const mean = drawn.reduce((sum, pause) => sum + pause, 0) / drawn.length;
    expect(Math.abs(mean - 500)).toBeLessThan(100); // 6 standard errors of a uniform draw
  });

  it.each([
    ['seconds', () => '1'],
    // HTTP dates have no fractions: two seconds ahead are more than one.
    ['a date', () => new Date(Date.now() + 2_000).toUTCString()],
  ])('are no shorter than Retry-After, in %s', async (_form, retryAfter) => {
    server.plan((context) => responds(503, { 'retry-after': retryAfter() })(context));
    const [took] = await timed(only({})(url, payment));
    expect(took).toBeGreaterThan(950);
    expect(events[0]?.pauseMs).toBeGreaterThanOrEqual(1_000);
  });

  it("read a date by the server's clock, not by ours", async () => {
    const at = (seconds: number) => new Date(Date.UTC(2001, 0, 1, 0, 0, seconds)).toUTCString();
    const asked = (after: number, now: number) =>
      pauses({ baseDelayMs: 0, maxAttempts: 2 }, { 'retry-after': at(after), date: at(now) });
    expect(await asked(3, 0)).toEqual([3_000]);
    expect(await asked(0, 9)).toEqual([0]);
  });

  it.each(['soon', '-1', '1.5', ''])('ignore a Retry-After of %j', async (value) => {
    expect(await pauses({ baseDelayMs: 0, maxAttempts: 2 }, { 'retry-after': value })).toEqual([0]);
  });
});

describe('the deadline', () => {
  it('cuts off an attempt', async () => {
    server.otherwise = hangs;
    const [took, error] = await timed(failure(only({ deadlineMs: 300 })(url, payment)));
    expect(error).toMatchObject({ reason: 'deadline', attempts: 1, mayHaveExecuted: true });
    expect(error.cause).toMatchObject({ name: 'TimeoutError' });
    expect(took).toBeGreaterThan(290);
  });

  it('is never slept past: with a longer Retry-After the call is given up at once', async () => {
    server.otherwise = responds(503, { 'retry-after': '3600' });
    const { signal } = over;
    const response = await only({ deadlineMs: HOUR_MS - 1_000 })(url, { ...payment, signal });
    expect(server.seen).toHaveLength(1);
    expect(callReport(response)?.gaveUp?.reason).toBe('deadline');
  });

  it('holds for a fetch that ignores its signal', async () => {
    const deaf: typeof fetch = () => new Promise(() => undefined);
    const error = await failure(
      only({ fetch: deaf, deadlineMs: 300, attemptTimeoutMs: 100 })(url, payment),
    );
    expect(error).toMatchObject({ reason: 'deadline', mayHaveExecuted: true });
  });
});

describe("the caller's abort", () => {
  const enough = new Error('enough');
  const { signal: aborted } = ((controller) => (controller.abort(enough), controller))(
    new AbortController(),
  );

  it('is honoured before anything is sent', async () => {
    expect(await failure(only({})(url, { ...payment, signal: aborted }))).toBe(enough);
    expect(server.seen).toHaveLength(0);
  });

  it('is honoured until the moment of sending', async () => {
    const abort = new AbortController();
    const headers = { 'Idempotency-Key': 'order-1' };
    const call = failure(only({})(url, { ...payment, headers, signal: abort.signal }));
    abort.abort(enough);
    expect(await call).toBe(enough);
    await only({})(url); // were anything on its way, it would be there first
    expect(server.seen.map(({ method }) => method)).toEqual(['GET']);
  });

  it.each([
    ['sending', hangs],
    ['reading the response', hangsAfterTheHeaders],
  ])('is honoured while %s', async (_when, fault) => {
    server.otherwise = fault;
    const abort = new AbortController();
    const patient = only({ attemptTimeoutMs: DAY_MS, deadlineMs: DAY_MS });
    const error = failure(patient(url, { ...payment, signal: abort.signal }));
    await eventually('it is under way', () => server.seen.length === 1);
    abort.abort(enough);
    expect(await error).toBe(enough);
    await eventually('the connection is closed', () => server.seen[0]?.hungUp === true);
    expect(server.seen).toHaveLength(1);
    expect(events).toEqual([]);
  });

  it('is honoured while waiting, and leaves no timer behind', async () => {
    server.otherwise = responds(503, { 'retry-after': '3600' });
    const abort = new AbortController();
    const stop = jest.spyOn(globalThis, 'clearTimeout');
    const onRetry = () => setTimeout(() => abort.abort(enough), 50);
    const retrying = only({ deadlineMs: DAY_MS, onRetry });
    expect(await failure(retrying(url, { ...payment, signal: abort.signal }))).toBe(enough);
    expect(server.seen).toHaveLength(1);
    const waiting = (timer: unknown) => (timer as { _idleTimeout?: number })?._idleTimeout;
    expect(stop.mock.calls.length).toBeGreaterThan(0);
    expect(stop.mock.results).toHaveLength(stop.mock.calls.length);
    expect(waiting(stop.mock.calls.at(-1)?.[0])).toBe(-1); // cleared
    stop.mockRestore();
  });

  it('is honoured in onRetry itself', async () => {
    server.otherwise = responds(503);
    const abort = new AbortController();
    const retrying = only({ onRetry: () => abort.abort(enough) });
    expect(await failure(retrying(url, { ...payment, signal: abort.signal }))).toBe(enough);
    expect(server.seen).toHaveLength(1);
  });

  it('comes from the signal of a Request as well', async () => {
    server.otherwise = hangs;
    const abort = new AbortController();
    const request = new Request(url, { ...payment, signal: abort.signal });
    const error = failure(only({})(request));
    await eventually('it is under way', () => server.seen.length === 1);
    abort.abort(enough);
    expect(await error).toBe(enough);
  });

  it('leaves no listener on a signal that outlives the call', async () => {
    const { signal } = new AbortController();
    const added = jest.spyOn(signal, 'addEventListener');
    const removed = jest.spyOn(signal, 'removeEventListener');
    server.plan(responds(500), losesBeforeTheWork);
    await only({})(url, { ...payment, signal });
    const own = (spy: typeof added | typeof removed) =>
      new Set(spy.mock.calls.map(([, listener]) => listener));
    expect(own(added).size).toBeGreaterThan(0);
    expect(own(removed)).toEqual(own(added));
  });
});

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

describe('the circuit', () => {
  const breaker = { failures: 3, probeAfterMs: HOUR_MS };
  /** The circuit may be probed now, for the first time since it was opened. */
  const comeProbeTime = () => {
    const now = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => now() + HOUR_MS);
  };
  afterEach(() => jest.restoreAllMocks());

  const fragile = () => client({ budget: false, maxAttempts: 1, breaker });
  const open = async (fetch: typeof globalThis.fetch) => {
    for (let n = 0; n < 3; n += 1) await fetch(url, payment).catch(() => undefined);
  };

  it.each([
    ['lost connections', losesBeforeTheWork],
    ['5xx', responds(500)],
    ['time-outs', hangs],
  ])('opens after %s in a row, and then nothing is sent', async (_what, fault) => {
    server.otherwise = fault;
    let sent = 0;
    const counting: typeof globalThis.fetch = (...request) => {
      sent += 1;
      return globalThis.fetch(...request);
    };
    const timeoutMs = fault === hangs ? 150 : DAY_MS;
    const limits = { maxAttempts: 1, attemptTimeoutMs: timeoutMs, deadlineMs: DAY_MS };
    const fetch = client({ budget: false, breaker, fetch: counting, ...limits });
    await open(fetch);
    const error = await failure(fetch(url, payment));
    expect(error).toMatchObject({ reason: 'circuit-open', attempts: 0, mayHaveExecuted: false });
    expect(error.message).toBe(
      `POST ${url} was not sent: this origin failed so often in a row that it is left alone for a while.`,
    );
    expect(sent).toBe(3);
  });

  it('ends a call that is being retried, with the last response', async () => {
    server.otherwise = responds(500);
    const response = await client({ budget: false, breaker })(url, payment);
    expect(server.seen).toHaveLength(3);
    expect(callReport(response)?.gaveUp).toMatchObject({ reason: 'circuit-open', attempts: 3 });
    expect(events).toHaveLength(2); // no pause before it gives up
  });

  it('ends a call that waits while others open it, with its last response', async () => {
    server.otherwise = responds(500);
    server.plan(responds(500, { 'retry-after': '1' }, '{"a":1}'));
    const timers = holdTimers((ms) => ms >= 1_000 && ms < 1_100);
    const fetch = client({ budget: false, breaker });
    const waiting = fetch(url, payment);
    await eventually('it waits', () => timers.waiting === 1);
    await open(fetch);
    timers.elapse();
    timers.restore();
    const response = await waiting;
    expect(await response.json()).toEqual({ a: 1 });
    expect(callReport(response)?.gaveUp).toMatchObject({ reason: 'circuit-open', attempts: 1 });
  });

  it.each([409, 429, 402])('stays closed with %s: the server lives', async (status) => {
    server.otherwise = responds(status, { 'retry-after': '0' });
    const fetch = fragile();
    for (let n = 0; n < 6; n += 1) await fetch(url, payment);
    server.plan(responds(500), responds(500), responds(status), responds(500), responds(500));
    for (let n = 0; n < 6; n += 1) await fetch(url, payment);
    expect(server.seen).toHaveLength(12);
  });

  it('lets a single request probe, and closes when it gets a response', async () => {
    const fetch = fragile();
    server.otherwise = losesBeforeTheWork;
    await open(fetch);
    comeProbeTime();
    let release = () => {};
    server.otherwise = async (context) => {
      await new Promise<void>((resolve) => (release = resolve));
      await doesTheWork(context);
    };
    const probe = fetch(url, payment);
    await eventually('the probe is there', () => server.seen.length === 4);
    const errors = await Promise.all([1, 2, 3].map(() => failure(fetch(url, payment))));
    expect(errors.map(({ reason }) => reason)).toEqual(Array(3).fill('circuit-open'));
    release();
    expect((await probe).status).toBe(200);
    expect(server.seen).toHaveLength(4);
    server.otherwise = doesTheWork;
    await Promise.all([1, 2, 3].map(() => fetch(url, payment)));
    expect(server.seen).toHaveLength(7);
  });

  it.each([
    ['fails', undefined],
    ['is aborted', new Error('enough')],
  ])('stays open when the probe %s', async (_how, reason) => {
    const fetch = fragile();
    server.otherwise = losesBeforeTheWork;
    await open(fetch);
    comeProbeTime();
    const abort = new AbortController();
    if (reason) server.otherwise = hangs;
    const probe = failure(fetch(url, { ...payment, signal: abort.signal }));
    await eventually('the probe is there', () => server.seen.length === 4);
    if (reason) abort.abort(reason);
    expect(await probe).toMatchObject(reason ?? { reason: 'attempts' });
    expect((await failure(fetch(url, payment))).reason).toBe('circuit-open');
  });

  it('is not closed by the response of an attempt that was sent before it opened', async () => {
    const fetch = fragile();
    let release = () => {};
    server.plan(async (context) => {
      await new Promise<void>((resolve) => (release = resolve));
      await doesTheWork(context);
    });
    const early = fetch(url, payment);
    await eventually('it is under way', () => server.seen.length === 1);
    server.otherwise = losesBeforeTheWork;
    await open(fetch);
    release();
    expect((await early).status).toBe(200);
    expect((await failure(fetch(url, payment))).reason).toBe('circuit-open');
  });

  it('is not opened by callers who abort', async () => {
    const fetch = fragile();
    server.otherwise = hangs;
    for (let n = 0; n < 5; n += 1) {
      const abort = new AbortController();
      const call = failure(fetch(url, { ...payment, signal: abort.signal }));
      await eventually('it is under way', () => server.seen.length === n + 1);
      abort.abort();
      await call;
    }
    server.otherwise = doesTheWork;
    expect((await fetch(url, payment)).status).toBe(200);
  });

  it('is of each origin its own, and of each client', async () => {
    const other = await FaultyServer.start();
    server.otherwise = losesBeforeTheWork;
    const fetch = fragile();
    await open(fetch);
    expect((await fetch(other.url, payment)).status).toBe(200);
    expect((await failure(fragile()(url, payment))).attempts).toBe(1);
    await other.close();
  });

  it('leaves the key of a request that it did not send as it was', async () => {
    const fetch = fragile();
    server.otherwise = losesBeforeTheWork;
    for (const order of ['order-1', 'order-2', 'order-3']) {
      await failure(fetch(url, { ...payment, headers: { 'Idempotency-Key': order } }));
    }
    const headers = { 'Idempotency-Key': 'order-4' };
    await failure(fetch(url, { ...payment, headers }));
    expect((await failure(fetch(url, { method: 'POST', headers }))).reason).toBe('circuit-open');
    const known = { 'Idempotency-Key': 'order-1' };
    await failure(fetch(url, { ...payment, headers: known }));
    expect((await failure(fetch(url, { method: 'POST', headers: known }))).reason).toBe(
      'key-reused',
    );
  });
});

describe('layers', () => {
  /** Another copy of the package, as a bundler or two versions in node_modules would have it. */
  function anotherCopy(): typeof import('../../src/client') {
    let copy: typeof import('../../src/client') | undefined;
    jest.isolateModules(() => {
      copy = jest.requireActual('../../src/client');
    });
    return copy as typeof import('../../src/client');
  }

  const options = { baseDelayMs: 2, maxAttempts: 3, breaker: false, budget: false } as const;

  it.each([
    ['a response', responds(503, { 'stripe-should-retry': 'true' })],
    ['an error', losesAfterTheWork],
  ])('do not multiply: what the inner one gave up with %s is passed on', async (_what, fault) => {
    server.otherwise = fault;
    const copy = anotherCopy();
    expect(copy.RetryError).not.toBe(RetryError);
    const inner = copy.createRetryingFetch(options);
    const outer = createRetryingFetch({ ...options, fetch: inner });
    const response = await outer(url, payment).catch((error: unknown) => error);
    expect(server.seen).toHaveLength(3);
    expect(new Set(server.keys).size).toBe(1);
    if (response instanceof Response) {
      expect(callReport(response)).toMatchObject({ attempts: 3, gaveUp: { reason: 'attempts' } });
      expect(callReport(response)?.gaveUp).toBeInstanceOf(RetryError);
    } else {
      expect(response).toBeInstanceOf(RetryError);
      expect(response).toMatchObject({ attempts: 3, mayHaveExecuted: true });
    }
  });

  it('do not multiply through something between them that knows nothing of this', async () => {
    server.otherwise = responds(503);
    const inner = createRetryingFetch(options);
    const between: typeof fetch = async (input, init) => {
      const { status, headers, body } = await inner(input, init);
      return new Response(body, { status, headers });
    };
    const response = await createRetryingFetch({ ...options, fetch: between })(url, payment);
    expect(response.status).toBe(503);
    expect(server.seen).toHaveLength(3);
  });

  it('pass on the response that the inner one got', async () => {
    server.plan(losesAfterTheWork);
    const inner = createRetryingFetch(options);
    const response = await createRetryingFetch({ ...options, fetch: inner })(url, payment);
    expect(await response.json()).toMatchObject({ id: 'pi_1' });
    expect(callReport(response)?.attempts).toBe(2);
  });

  it('tell errors of another copy from any other', () => {
    const { RetryError: Other } = anotherCopy();
    const details = { attempts: 0, mayHaveExecuted: false, method: 'GET', url: '' } as const;
    expect(new Other('', { ...details, reason: 'budget' })).toBeInstanceOf(RetryError);
    for (const other of [new Error('x'), {}, null, undefined, 'RetryError']) {
      expect(other instanceof RetryError).toBe(false);
    }
  });
});

describe('onRetry', () => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['rejects', () => Promise.reject(new Error('mine')) as unknown as void],
  ])('that %s changes nothing and is printed', async (_how, onRetry) => {
    const print = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    server.plan(losesBeforeTheWork);
    expect((await only({ onRetry })(url, payment)).status).toBe(200);
    expect(print.mock.calls).toEqual([
      ['onRetry threw:', expect.objectContaining({ message: 'mine' })],
    ]);
    print.mockRestore();
  });

  it('hears of each retry before its pause', async () => {
    const heard: RetryEvent[] = [];
    server.plan(losesBeforeTheWork, responds(503));
    await only({ baseDelayMs: 100, jitter: 'none', onRetry: (event) => heard.push(event) })(
      url,
      payment,
    );
    const about = { method: 'POST', url, idempotencyKey: server.keys[0] };
    expect(heard).toEqual([
      { attempt: 1, reason: 'connection-lost', pauseMs: 100, ...about, cause: expect.anything() },
      { attempt: 2, reason: 'server-error', pauseMs: 200, ...about, status: 503 },
    ]);
    const [first, second, third] = server.seen.map(({ at }) => at);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(95);
    expect((third ?? 0) - (second ?? 0)).toBeGreaterThan(195);
  });
});

describe('options', () => {
  it.each([
    [{ deadlineMs: 0 }, 'deadlineMs must be a number from 1 to 86400000, not 0.'],
    [{ deadlineMs: NaN }, 'deadlineMs must be a number from 1 to 86400000, not NaN.'],
    [{ attemptTimeoutMs: '5' }, 'attemptTimeoutMs must be a number from 1 to 86400000, not 5.'],
    [{ maxAttempts: 0 }, 'maxAttempts must be a number from 1 to 100, not 0.'],
    [{ maxAttempts: 1.5 }, 'maxAttempts must be a whole number, not 1.5.'],
    [{ baseDelayMs: -1 }, 'baseDelayMs must be a number from 0 to 3600000, not -1.'],
    [{ maxDelayMs: Infinity }, 'maxDelayMs must be a number from 0 to 3600000, not Infinity.'],
    [{ jitter: 'some' }, "jitter must be 'full' or 'none', not some."],
    [{ fetch: 'x' }, 'fetch must be a function.'],
    [{ onRetry: {} }, 'onRetry must be a function.'],
    [{ budget: { capacity: -1 } }, 'budget.capacity must be a number from 0 to 10000, not -1.'],
    [
      { budget: { earnPerSuccess: 2 } },
      'budget.earnPerSuccess must be a number from 0 to 1, not 2.',
    ],
    [{ budget: true }, 'budget must be an object, not true.'],
    [{ budget: { tokens: 1 } }, 'budget cannot have tokens. Known are: capacity, earnPerSuccess.'],
    [{ breaker: { failures: 0 } }, 'breaker.failures must be a number from 1 to 10000, not 0.'],
    [
      { breaker: { probeAfterMs: 0 } },
      'breaker.probeAfterMs must be a number from 1 to 3600000, not 0.',
    ],
    [{ deadline: 1 }, /^The options cannot have deadline\. Known are: fetch, deadlineMs, /],
    [null, 'The options must be an object, not null.'],
  ])('%j are refused when the client is made', (options, message) => {
    expect(() => createRetryingFetch(options as unknown as Options)).toThrow(message);
  });
});
