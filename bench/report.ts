/** The table, for the terminal and for docs/PERFORMANCE.md, and the plot of the ratios. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Row, Spread } from './figures';

const DOCS = join(__dirname, '..', 'docs');
const PAGE = join(DOCS, 'PERFORMANCE.md');
/** The page between its beginning, which people write, and its end is this program's. */
const MARK = '<!-- What follows is written by npm run bench -- --write -->';

export function cells({ ratio, ...row }: Row): string[] {
  const spread = ratio
    ? `${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)})`
    : '';
  return [
    row.case,
    row.ours,
    row.against,
    row.theirs,
    spread,
    row.goal,
    row.reached ? 'yes' : 'no',
  ];
}

const HEAD = ['case', 'ours', 'compared with', 'theirs', 'ratio (spread)', 'goal', 'reached'];

/** One measurement that has run. */
export interface Measured {
  readonly name: string;
  readonly rows: readonly Row[];
  /** The command that ran it. */
  readonly command: string;
  /** How long it took, s. */
  readonly seconds: number;
}

/**
 * Puts the figures of one measurement in place of its last ones, and draws the plot of all.
 *
 * @param names of all measurements, in their order on the page
 */
export function writeReport(names: readonly string[], measured: Measured): void {
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
  const [beginning = '', written = ''] = page.split(MARK);
  const sections = new Map(
    written
      .split(/^### /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('\n')), section.trim()]),
  );
  sections.set(measured.name, sectionOf(measured));
  const ordered = names.flatMap((each) => sections.get(each) ?? []);
  const text = [MARK, ...ordered.map((section) => `### ${section}`)].join('\n\n');
  writeFileSync(PAGE, `${beginning}${text}\n`);
  writeFileSync(join(DOCS, 'performance.svg'), plot(ordered.flatMap(barsOf)));
}

function sectionOf({ name, rows, command, seconds }: Measured): string {
  const line = (parts: readonly string[]) => `| ${parts.join(' | ')} |`;
  const date = new Date().toISOString().slice(0, 10);
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus().length} cores, ${gigabytes} GB, Linux ${release()}, Node ${process.version}`;
  return [
    name,
    '',
    `${date}, \`${command}\`, ${seconds} s on ${machine}.`,
    '',
    line(HEAD),
    line(HEAD.map(() => '---')),
    ...rows.map((row) => line(cells(row))),
  ].join('\n');
}

/** A ratio as the plot shows it. */
interface Bar extends Spread {
  readonly case: string;
  readonly goal: number;
  readonly reached: boolean;
}

/** The ratios in a section, read from its table: other runs have written some of them. */
function barsOf(section: string): Bar[] {
  const rows = section.split('\n').filter((line) => /^\| (?!case|---)/.test(line));
  return rows.flatMap((row) => {
    const [name = '', , , , ratio = '', goal = '', reached] = row.slice(2, -2).split(' | ');
    const [median, low, high] = ratio.match(/[\d.]+/g)?.map(Number) ?? [];
    if (median === undefined || low === undefined || high === undefined) return [];
    const mark = Number(/[\d.]+/.exec(goal)?.[0] ?? 0);
    return [{ case: name, median, low, high, goal: mark, reached: reached === 'yes' }];
  });
}

const ROW_HEIGHT = 34;
/** Room for the names, left of it the longest of them. */
const LEFT = 330;
const BEYOND = 70;
const WIDTH = 860;
/** Longer bars end here, with their figure: else the others would be unreadable. */
const MAX_SHOWN = 2;

/** One bar for each ratio, a whisker for its spread, a mark for its goal. */
function plot(shown: readonly Bar[]): string {
  const most = Math.min(MAX_SHOWN, Math.max(1.2, ...shown.map(({ high }) => high)));
  const x = (value: number) => LEFT + (Math.min(value, most) / most) * (WIDTH - LEFT - 40);
  const height = shown.length * ROW_HEIGHT + 50;
  const bars = shown.map(({ case: name, median, low, high, goal, reached }, at) => {
    const y = 16 + at * ROW_HEIGHT;
    const mark = x(goal);
    return [
      `<text x="${LEFT - 10}" y="${y + 15}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${LEFT}" y="${y + 2}" width="${x(median) - LEFT}" height="18" class="${reached ? 'reached' : 'short'}"/>`,
      `<path d="M${x(low)} ${y + 11}H${x(high)}" class="spread"/>`,
      `<path d="M${mark} ${y - 2}V${y + 24}" class="goal"/>`,
      `<text x="${x(Math.max(median, high)) + 6}" y="${y + 15}">${median.toFixed(2)}</text>`,
    ].join('');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${-BEYOND} 0 ${WIDTH + BEYOND} ${height}" role="img" aria-label="Ratios">
<title>Ratios of npm run bench; the dashed line is the goal, the thin line the spread of the rounds</title>
<style>text{font:12px sans-serif;fill:#555}.reached{fill:#2a7f62}.short{fill:#b5523b}.spread{stroke:#111;stroke-width:1.5}.goal{stroke:#555;stroke-dasharray:3 2;stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#bbb}.spread{stroke:#eee}.goal{stroke:#bbb}}</style>
${bars.join('\n')}
<text x="${LEFT}" y="${height - 14}">0</text><text x="${x(1)}" y="${height - 14}" text-anchor="middle">1</text>
<path d="M${x(1)} 10V${height - 30}" stroke="#999" stroke-width="0.5"/>
</svg>
`;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
