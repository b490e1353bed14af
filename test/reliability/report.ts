/** Reports of a run of the harness: a table for the terminal, and rows for docs/RELIABILITY.md. */
import { alignedTable, machine, markdownTable, rowsIn } from '../support/tables';
import { traps } from './planted-bugs';
import type { Report } from './scenario';

/** One run of one scenario. */
export interface Line extends Report {
  readonly name: string;
  readonly seconds: number;
  readonly passed: boolean;
  /** Whether a bug was planted that the scenario had to find. */
  readonly planted: boolean;
  /** It could not run here. */
  readonly skipped?: boolean;
}

export interface RunFacts {
  readonly seed: number;
  readonly long: boolean;
  /** An ISO 8601 date. */
  readonly date: string;
}

/** People write what stands above this mark; this program writes the rest. */
export const MARK = '<!-- What follows is written by npm run test:faults -- --write -->';

const FIGURES = ['faults', 'keys', 'retries', 'violations', 'seconds'];

/** Makes the table for the terminal. */
export function table(lines: readonly Line[]): string {
  return alignedTable([
    ['scenario', ...FIGURES, ''],
    ...lines.map((line) => [line.name, ...figuresOf(line), line.passed ? 'ok' : 'FAILED']),
  ]);
}

/**
 * Replaces the rows of the scenarios that ran. Rows of other scenarios, and of the other kind of run, stay, so
 * that runs of one scenario each add up to one table.
 */
export function withFigures(page: string, lines: readonly Line[], run: RunFacts): string {
  const [beginning = '', rest = ''] = page.split(MARK);
  const ran = lines.filter(({ skipped }) => !skipped);
  const rows = (title: string, some: readonly Line[]) => {
    const known = rowsIn(rest.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? '');
    for (const line of some) known.set(line.name, rowOf(line, run));
    const under = HEAD.map((_, at) => (FIGURES[at - 1] ? '--:' : '---'));
    return markdownTable([HEAD, under, ...known.values()]);
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

function rowOf(line: Line, { date, seed }: RunFacts): string[] {
  const final = `all final ${(line.finalMs / 1_000).toFixed(1)} s after the faults`;
  const notes = line.planted ? line.notes : [...line.notes, final];
  return [line.name, ...figuresOf(line), date, String(seed), notes.join('; ')];
}

const figuresOf = ({ faults, keys, retries, findings, seconds }: Line): string[] =>
  [faults, keys, retries, findings.length, seconds].map((figure) => figure.toLocaleString('en'));
