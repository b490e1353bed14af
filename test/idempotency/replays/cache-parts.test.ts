/** What the replay cache is made of: entries of a bounded size, and a circuit breaker in front of Redis. */
import fc from 'fast-check';
import { CircuitBreaker, CircuitOpenError } from '../../../src/idempotency/replays/circuit-breaker';
import { RecentEntries } from '../../../src/idempotency/replays/recent-entries';

describe('entries of a bounded size', () => {
  const step = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    /** Nothing: the entry is read. */
    size: fc.option(fc.integer({ min: 0, max: 12 })),
  });

  it('are those used last, however they are read, added and replaced', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const entries = new RecentEntries<number>(20, (size) => size);
        // The plain way: a list, the one used last at its end.
        let expected: { name: string; size: number }[] = [];
        for (const { name, size } of steps) {
          const entry = expected.find((one) => one.name === name);
          expected = expected.filter((one) => one !== entry);
          if (size === null) {
            expect(entries.get(name)).toBe(entry?.size);
            if (entry) expected.push(entry);
            continue;
          }
          entries.set(name, size);
          expected.push({ name, size });
          while (expected.reduce((sum, one) => sum + one.size, 0) > 20) expected.shift();
        }
        const kept = expected.map(({ name, size }) => [name, size]);
        expect(kept.map(([name]) => [name, entries.get(name as string)])).toEqual(kept);
        for (const name of ['a', 'b', 'c', 'd', 'e']) {
          if (!expected.some((one) => one.name === name)) expect(entries.get(name)).toBeUndefined();
        }
      }),
    );
  });

  it('do not hold one that is larger than all may be, nor what it replaces', () => {
    const entries = new RecentEntries<number>(20, (size) => size);
    entries.set('a', 5);
    entries.set('b', 5);
    entries.set('a', 21);
    expect(entries.get('a')).toBeUndefined();
    expect(entries.get('b')).toBe(5);
  });
});

describe('the circuit breaker', () => {
  let nowMs = 0;
  beforeEach(() => {
    nowMs = 5_000;
    jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
  });
  afterEach(() => jest.restoreAllMocks());

  const fails = () => Promise.reject(new Error('down'));
  const works = () => Promise.resolve('up');
  const broken = async (breaker: CircuitBreaker) => {
    for (let n = 0; n < 3; n += 1) await expect(breaker.run(fails)).rejects.toThrow('down');
  };

  it('opens after failures in a row alone', async () => {
    const breaker = new CircuitBreaker(3, 1_000);
    for (let n = 0; n < 5; n += 1) {
      await expect(breaker.run(fails)).rejects.toThrow('down');
      await expect(breaker.run(fails)).rejects.toThrow('down');
      expect(await breaker.run(works)).toBe('up');
    }
    await broken(breaker);
    await expect(breaker.run(works)).rejects.toThrow(CircuitOpenError);
  });

  it('lets one through when the break is over, and stays open when that fails', async () => {
    const breaker = new CircuitBreaker(3, 1_000);
    await broken(breaker);
    nowMs += 999;
    await expect(breaker.run(works)).rejects.toThrow(CircuitOpenError);
    nowMs += 1;
    const probe = breaker.run(fails);
    await expect(breaker.run(works)).rejects.toThrow(CircuitOpenError);
    await expect(probe).rejects.toThrow('down');
    nowMs += 999;
    await expect(breaker.run(works)).rejects.toThrow(CircuitOpenError);
  });

  it('closes when the one that is let through works', async () => {
    const breaker = new CircuitBreaker(3, 1_000);
    await broken(breaker);
    nowMs += 1_000;
    expect(await breaker.run(works)).toBe('up');
    expect(await Promise.all([breaker.run(works), breaker.run(works)])).toEqual(['up', 'up']);
    await expect(breaker.run(fails)).rejects.toThrow('down');
    expect(await breaker.run(works)).toBe('up');
  });
});
