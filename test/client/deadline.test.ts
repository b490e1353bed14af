/** The deadline and the abort of the caller end a call, whatever it is doing. */
import { callReport } from '../../src/client';
import { eventually } from '../support/eventually';
import {
  responds,
  losesBeforeTheWork,
  hangs,
  hangsAfterTheHeaders,
  payment,
  failure,
} from './faulty-server';
import {
  HOUR_MS,
  DAY_MS,
  server,
  url,
  events,
  over,
  only,
  startAServerForEachTest,
  timed,
} from './retries.fixture';

startAServerForEachTest();

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
