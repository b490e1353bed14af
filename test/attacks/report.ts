/** The results of a run of the attacks: a table for the terminal, and rows for docs/RELIABILITY.md. */
import { alignedTable, machine, markdownTable, rowsIn } from '../support/tables';
import { MB } from './arena';
import type { Report } from './attack';
import type { Waits } from './victim';

/** One run of one attack. */
export interface Line extends Report {
  readonly name: string;
  /** How long the victim paid alone, and how long the attack was repeated, s; 0 in a short run. */
  readonly phaseSeconds: number;
  /** How long the whole took, s. */
  readonly seconds: number;
  readonly passed: boolean;
}

/** Between these two marks the page is this program's. */
export const BEGIN = '<!-- Attacks, written by npm run test:attacks -- --write -->';
export const END = '<!-- End of the attacks -->';

const HEAD = [
  'attack',
  'victim without, p50/p99/worst, ms',
  'victim under attack',
  'server before/highest/after, MB',
  'growth, MB',
  'loop held, ms',
  'sent',
  'got',
  'what it did',
  'phases',
  'date',
];

/** For the terminal. */
export function table(lines: readonly Line[]): string {
  return alignedTable([
    [
      'attack',
      'without, ms',
      'under attack, ms',
      'memory, MB',
      'growth, MB',
      'held, ms',
      'seconds',
      '',
    ],
    ...lines.map((line) => [
      line.name,
      describeWaits(line.without),
      describeWaits(line.under),
      memoryOf(line),
      growthOf(line),
      String(Math.round(line.heldMs)),
      String(line.seconds),
      line.passed ? 'ok' : 'FAILED',
    ]),
  ]);
}

/** The page with the rows of what ran in place of their last ones; those of other attacks stay. */
export function withFigures(page: string, lines: readonly Line[], date: string): string {
  const [beginning = '', rest = ''] = page.split(BEGIN);
  const [written = '', end] = rest.split(END);
  if (end === undefined) throw new Error(`docs/RELIABILITY.md has no ${BEGIN} and ${END}.`);
  const rows = rowsIn(written);
  for (const line of lines) rows.set(line.name, rowOf(line, date));
  const tableOf = markdownTable([HEAD, HEAD.map(() => '---'), ...rows.values()]);
  const words =
    `Each row is the last run of its attack, here on ${machine()}. Memory is resident memory, before and ` +
    'after once garbage was collected. Phases: how long the victim paid alone, and how long the attack was ' +
    'repeated, with server and attacker on a core each; once: `--short`, beside another attack.';
  return `${beginning}${[BEGIN, words, tableOf, END].join('\n\n')}${end}`;
}

/** Most refusals that a row quotes. */
const MAX_EXAMPLES = 3;

/** The first refusals that can be read in a table, and how many more there were. */
function examplesOf(refusals: readonly string[]): string[] {
  const examples = refusals.filter((text) => /^[ -~]+$/.test(text)).slice(0, MAX_EXAMPLES);
  const more = refusals.length - examples.length;
  return more > 0 ? [...examples, `${more} more kinds of refusals`] : examples;
}

function rowOf(line: Line, date: string): string[] {
  const statuses = Object.entries(line.statuses).map(
    ([status, times]) => `${status}: ${figure(times)}`,
  );
  const sent = `${figure(line.requests)} requests, ${(line.bytes / MB).toFixed(1)} MB, ${figure(line.connections)} connections`;
  const got = [...statuses, `closed: ${figure(line.closed)}`, ...examplesOf(line.refusals)].join(
    '; ',
  );
  const cost = line.costliest && `costliest body ${line.costliest.ms} ms (${line.costliest.what})`;
  const did = [
    `${figure(line.begun)} requests begun`,
    `${figure(line.payments)} payments`,
    `${figure(line.rows)} rows`,
    `${figure(line.lookups)} look-ups of API keys`,
    ...(cost ? [cost] : []),
  ].join(', ');
  const held = String(Math.round(line.heldMs));
  const cells = [
    describeWaits(line.without),
    describeWaits(line.under),
    memoryOf(line),
    growthOf(line),
    held,
    sent,
    got,
    did,
    line.phaseSeconds > 0 ? `${line.phaseSeconds} s` : 'once',
  ];
  return [line.name, ...cells.map((cell) => cell.replaceAll('|', '/')), date];
}

const describeWaits = ({ p50, p99, worst }: Waits): string =>
  [p50, p99, worst].map((ms) => figure(Math.round(ms))).join(' / ');

const memoryOf = ({ rss: { before, highest, after } }: Report): string =>
  [before, highest, after].map((bytes) => Math.round(bytes / MB)).join(' / ');

const growthOf = ({ grown }: Report): string => String(Math.round(grown.rss / MB));

const figure = (value: number): string => value.toLocaleString('en');
