/** The circuit stops calls to an origin that fails, and probes it. */
import { callReport } from '../../src/client';
import { eventually } from '../support/eventually';
import { holdTimers } from '../support/held-timers';
import {
  responds,
  doesTheWork,
  losesBeforeTheWork,
  hangs,
  FaultyServer,
  payment,
  failure,
} from './faulty-server';
import {
  HOUR_MS,
  DAY_MS,
  server,
  url,
  events,
  client,
  startAServerForEachTest,
} from './retries.fixture';

startAServerForEachTest();

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
