/** What a run of the harness tells: a table for the terminal, a page for the documentation. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { traps } from './planted-bugs';
import type { Report } from './scenario';

/** One run of one scenario. */
export interface Line extends Report {
  readonly name: string;
  readonly seconds: number;
  readonly passed: boolean;
  /** Whether a bug was planted, which it had to find. */
  readonly planted: boolean;
}

interface RunFacts {
  readonly command: string;
  readonly seconds: number;
}

const PAGE = join(__dirname, '..', '..', 'docs', 'RELIABILITY.md');
/** The page between its beginning, which people write, and its end is this program's. */
const MARK = '<!-- What follows is written by npm run test:faults -- --write -->';

const HEAD = ['scenario', 'faults', 'keys', 'retries', 'violations', 'seconds', ''];

export function table(lines: readonly Line[]): string {
  const rows = [HEAD, ...lines.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 || column === HEAD.length - 1
            ? cell.padEnd(widths[column] ?? 0)
            : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cells(line: Line): string[] {
  const { name, faults, keys, retries, findings, seconds, passed } = line;
  const figures = [faults, keys, retries, findings.length, seconds];
  return [name, ...figures.map((figure) => figure.toLocaleString('en')), passed ? 'ok' : 'FAILED'];
}

/** Puts the figures in place of the last ones. */
export function writeReport(lines: readonly Line[], { command, seconds }: RunFacts): void {
  const row = (cellsOfRow: readonly string[]) => `| ${cellsOfRow.join(' | ')} |`;
  const markdown = (some: readonly Line[]) =>
    [
      row([...HEAD.slice(0, -1), 'measured besides']),
      row(HEAD.map((_, column) => (column === 0 || column === HEAD.length - 1 ? '---' : '--:'))),
      ...some.map((line) => row([...cells(line).slice(0, -1), line.notes.join('; ')])),
    ].join('\n');
  const date = new Date().toISOString().slice(0, 10);
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus().length} cores, ${gigabytes} GB, Linux ${release()}, Node ${process.version}`;
  const text = [
    MARK,
    '',
    `${date}, \`${command}\`, ${seconds} s on ${machine}.`,
    '',
    markdown(lines.filter(({ planted }) => !planted)),
    '',
    '## Planted bugs',
    '',
    markdown(lines.filter(({ planted }) => planted)),
    '',
    ...traps.map(({ bug, scenario, because }) => `- \`${bug}\`, in ${scenario}: ${because}.`),
    '',
  ].join('\n');
  writeFileSync(PAGE, `${beginning()}${text}`);
}

function beginning(): string {
  const [text = ''] = readFileSync(PAGE, 'utf8').split(MARK);
  return text;
}
