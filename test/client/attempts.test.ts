/** How many attempts a call has, what they leave the caller with, and that layers of clients do not multiply them. */
import { createRetryingFetch, callReport, RetryError } from '../../src/client';
import {
  responds,
  losesBeforeTheWork,
  losesAfterTheWork,
  FaultyServer,
  payment,
  failure,
} from './faulty-server';
import { server, url, only, startAServerForEachTest } from './retries.fixture';

startAServerForEachTest();

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
