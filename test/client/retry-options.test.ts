/** The options of the retrying fetch are checked, and onRetry hears of each retry. */
import { createRetryingFetch, type RetryEvent } from '../../src/client';
import { responds, losesBeforeTheWork, payment } from './faulty-server';
import { type Options, server, url, only, startAServerForEachTest } from './retries.fixture';

startAServerForEachTest();

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
