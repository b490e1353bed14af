/** The table of attacks in the page of figures: what ran replaces its own rows, and nothing else. */
import { BEGIN, END, type Line, withFigures } from './report';

const waits = { payments: 60, p50: 4, p99: 9, worst: 11, failures: {} };
const line = (name: string, requests: number): Line => ({
  name,
  phaseSeconds: 10,
  seconds: 30,
  passed: true,
  findings: [],
  without: waits,
  under: { ...waits, worst: 1_234.5 },
  rss: { before: 100 * 2 ** 20, highest: 120 * 2 ** 20, after: 110 * 2 ** 20 },
  grown: { used: 2 ** 20, rss: 4.4 * 2 ** 20 },
  heldMs: 21.4,
  costliest: undefined,
  requests,
  bytes: 2 ** 20,
  connections: 1,
  statuses: { 401: requests },
  closed: 0,
  refusals: ['401 a | b'],
  begun: requests,
  payments: 0,
  rows: 0,
  lookups: 2,
});
const rows = (page: string) =>
  page.split('\n').filter((row) => /^\| (pipelining|resets)/.test(row));

describe('the table of attacks', () => {
  const empty = `# By people\n\n${BEGIN}\n${END}\n\n## More by people\n`;
  const first = withFigures(empty, [line('pipelining', 20_000), line('resets', 9)], '2026-01-01');

  it('stands between its marks, and what people wrote stays around it', () => {
    expect(first.startsWith(`# By people\n\n${BEGIN}\n`)).toBe(true);
    expect(first.endsWith(`${END}\n\n## More by people\n`)).toBe(true);
    expect(rows(first)).toEqual([
      '| pipelining | 4 / 9 / 11 | 4 / 9 / 1,235 | 100 / 120 / 110 | 4 | 21 | 20,000 requests, 1.0 MB, ' +
        '1 connections | 401: 20,000; closed: 0; 401 a / b | 20,000 requests begun, 0 payments, ' +
        '0 rows, 2 look-ups of API keys | 10 s | 2026-01-01 |',
      expect.stringContaining('| resets |'),
    ]);
  });

  it('has the new row of what ran again, and the old ones of all else', () => {
    const second = withFigures(first, [line('resets', 10)], '2026-02-02');
    expect(rows(second).map((row) => row.split(' | ').at(-1))).toEqual([
      '2026-01-01 |',
      '2026-02-02 |',
    ]);
    expect(withFigures(second, [], '2026-03-03')).toBe(second);
  });

  it('needs its marks in the page', () => {
    expect(() => withFigures('# By people\n', [], '2026-01-01')).toThrow(BEGIN);
  });
});
