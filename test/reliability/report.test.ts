/** The page of figures: a run replaces its own rows, and no others. */
import { type Line, MARK, withFigures } from './report';

const line = (name: string, keys: number, fields: Partial<Line> = {}): Line => ({
  name,
  faults: 1,
  keys,
  retries: 0,
  findings: [],
  finalMs: 500,
  notes: ['all went well'],
  seconds: 2,
  passed: true,
  planted: false,
  ...fields,
});
const on = (date: string, long = false) => ({ date, seed: 7, long });
const rows = (page: string) => page.split('\n').filter((row) => /^\| (kills|redis)/.test(row));

describe('the page of figures', () => {
  const empty = `# Written by people\n\n${MARK}\n`;
  const first = withFigures(
    empty,
    [line('kills', 10), line('redis', 20), line('bug in redis', 1, { planted: true })],
    on('2026-01-01'),
  );

  it('keeps what people wrote, and begins the tables', () => {
    expect(first.startsWith(`# Written by people\n\n${MARK}\n`)).toBe(true);
    expect(rows(first)).toEqual([
      '| kills | 1 | 10 | 0 | 0 | 2 | 2026-01-01 | 7 | all went well; all final 0.5 s after the faults |',
      '| redis | 1 | 20 | 0 | 0 | 2 | 2026-01-01 | 7 | all went well; all final 0.5 s after the faults |',
    ]);
    expect(first).toContain('| bug in redis |');
  });

  it('replaces the rows of scenarios that ran and leaves the others, the planted bugs too', () => {
    const second = withFigures(first, [line('redis', 21)], on('2026-02-02'));
    expect(rows(second).map((row) => row.split(' | ').slice(0, 3).join())).toEqual([
      '| kills,1,10',
      '| redis,1,21',
    ]);
    expect(second).toContain('| bug in redis | 1 | 1 | 0 | 0 | 2 | 2026-01-01 |');
  });

  it('adds long runs up beside the short ones', () => {
    const second = withFigures(first, [line('kills', 99)], on('2026-02-02', true));
    const third = withFigures(second, [line('redis', 98)], on('2026-03-03', true));
    const long = third.slice(third.indexOf('## Long runs'), third.indexOf('## Planted bugs'));
    expect(rows(long).map((row) => row.split(' | ')[2])).toEqual(['99', '98']);
    expect(rows(third)).toHaveLength(4);
    expect(withFigures(third, [], on('2026-04-04'))).toBe(third);
  });

  it('leaves a row alone whose scenario could not run', () => {
    const skipped = line('redis', 0, { skipped: true });
    expect(withFigures(first, [skipped], on('2026-02-02'))).toBe(first);
  });
});
