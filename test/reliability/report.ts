/** What a run of the harness tells: a table for the terminal, and rows for docs/RELIABILITY.md. */
import { cpus, release, totalmem } from 'node:os';
import { traps } from './planted-bugs';
import type { Report } from './scenario';

/** One run of one scenario. */
export interface Line extends Report {
  readonly name: string;
  readonly seconds: number;
  readonly passed: boolean;
  /** Whether a bug was planted, which it had to find. */
  readonly planted: boolean;
  /** It could not run here. */
  readonly skipped?: boolean;
}

export interface RunFacts {
  readonly seed: number;
  readonly long: boolean;
  /** ISO 8601, the day alone. */
  readonly date: string;
}

/** The page between its beginning, which people write, and its end is this program's. */
export const MARK = '<!-- What follows is written by npm run test:faults -- --write -->';

const FIGURES = ['faults', 'keys', 'retries', 'violations', 'seconds'];

/** For the terminal. */
export function table(lines: readonly Line[]): string {
  const rows = [
    ['scenario', ...FIGURES, ''],
    ...lines.map((line) => [line.name, ...figuresOf(line), line.passed ? 'ok' : 'FAILED']),
  ];
  const last = FIGURES.length + 1;
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, at) =>
          at === 0 || at === last ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/**
 * The page with the rows of what ran in place of their last ones: those of other scenarios, and of the
 * other kind of run, stay. So runs that were made one scenario at a time add up to one table.
 */
export function withFigures(page: string, lines: readonly Line[], run: RunFacts): string {
  const [beginning = '', rest = ''] = page.split(MARK);
  const ran = lines.filter(({ skipped }) => !skipped);
  const rows = (title: string, some: readonly Line[]) => {
    const known = rowsUnder(title, rest);
    for (const line of some) known.set(line.name, rowOf(line, run));
    return [HEAD, HEAD.map((_, at) => (FIGURES[at - 1] ? '--:' : '---')), ...known.values()]
      .map((cells) => `| ${cells.join(' | ')} |`)
      .join('\n');
  };
  const real = ran.filter(({ planted }) => !planted);
  return [
    `${beginning}${MARK}`,
    `Each row is the last run of its scenario, here on ${machine()}. Again: \`npm run test:faults -- ` +
      '--only SCENARIO --seed SEED`, a long one with `--long`.',
    `## ${SHORT}`,
    rows(SHORT, run.long ? [] : real),
    `## ${LONG}`,
    rows(LONG, run.long ? real : []),
    `## ${BUGS}`,
    rows(
      BUGS,
      ran.filter(({ planted }) => planted),
    ),
    traps
      .map(({ bug, scenario, because }) => `- \`${bug}\`, in ${scenario}: ${because}.`)
      .join('\n'),
    '',
  ]
    .join('\n\n')
    .replace(/\n+$/, '\n');
}

const SHORT = 'Short run';
const LONG = 'Long runs';
const BUGS = 'Planted bugs';
const HEAD = ['scenario', ...FIGURES, 'date', 'seed', 'measured besides'];

/** The rows of a table, by their first cells. */
function rowsUnder(title: string, text: string): Map<string, string[]> {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? '';
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2) // the head, and the line under it
    .map((line) => line.slice(2, -2).split(' | '));
  return new Map(rows.map((cells) => [cells[0] ?? '', cells]));
}

function rowOf(line: Line, { date, seed }: RunFacts): string[] {
  const final = `all final ${(line.finalMs / 1_000).toFixed(1)} s after the faults`;
  const notes = line.planted ? line.notes : [...line.notes, final];
  return [line.name, ...figuresOf(line), date, String(seed), notes.join('; ')];
}

const figuresOf = ({ faults, keys, retries, findings, seconds }: Line): string[] =>
  [faults, keys, retries, findings.length, seconds].map((figure) => figure.toLocaleString('en'));

function machine(): string {
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores, ${gigabytes} GB, Linux ${release()}, Node ${process.version}`;
}
