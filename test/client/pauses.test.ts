/** The pauses between attempts: their bounds, their jitter, and Retry-After. */
import fc from 'fast-check';
import { responds, payment } from './faulty-server';
import {
  type Options,
  server,
  url,
  events,
  only,
  startAServerForEachTest,
  timed,
} from './retries.fixture';

startAServerForEachTest();

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
