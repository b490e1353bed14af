/**
 * What retrying does to a server that has gone down: `npm run simulate:retries`.
 *
 * `--write` puts the figures and the plot into docs/guides, `--quick` takes a fifth of everything,
 * `--seed 7` takes another chance.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import * as are from './experiments';
import { draw } from './plot';
import { BUCKET_MS, type Experiment, type Outage, type Population, type Result } from './run';

/** What a thread begins with, so that it can read TypeScript. */
const LOADER = join(__dirname, '..', '..', 'test', 'support', 'run.cjs');
const THREAD = join(__dirname, 'thread.ts');
const GUIDES = join(__dirname, '..', '..', 'docs', 'guides');
const BEGIN = '<!-- Written by npm run simulate:retries -- --write -->';
const END = '<!-- Until here -->';

const { noBackOff, noJitter, fullJitter, budgetAlone, ours } = are.policies;
const { shops, fleet } = are;

interface Line {
  readonly name: string;
  readonly policy: are.Policy;
  readonly population: Population;
  /** Whether it is in the picture too. */
  readonly drawn: boolean;
}

const LINES: readonly Line[] = [
  ...[noBackOff, noJitter, fullJitter, ours].map((policy) => ({
    name: policy.name,
    policy,
    population: shops,
    drawn: true,
  })),
  { name: '20 processes: the same', policy: ours, population: fleet, drawn: true },
  { name: '20 processes: no breaker', policy: budgetAlone, population: fleet, drawn: false },
];
const OURS_ALONE = LINES.filter(({ policy }) => policy === ours);

interface Comparison {
  readonly title: string;
  readonly outage: Outage;
  readonly lines: readonly Line[];
  readonly drawn: boolean;
}

const COMPARISONS: readonly Comparison[] = [
  { title: 'A crash: back after 12 s', outage: are.outages.crash, lines: LINES, drawn: true },
  { title: 'A stall of 20 s', outage: are.outages.stall, lines: LINES, drawn: true },
  {
    title: 'A crash: back after 3 minutes',
    outage: are.outages.longCrash,
    lines: OURS_ALONE,
    drawn: false,
  },
];

interface Row {
  readonly line: Line;
  readonly result: Result;
}

interface Finished extends Comparison {
  readonly rows: readonly Row[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      write: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
    },
  });
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed)) throw new Error('--seed needs a whole number.');
  if (values.write && values.quick) throw new Error('--write needs the whole run.');
  const startedAt = performance.now();

  const finished = await runAll((line, outage) => {
    const whole = are.experiment(line.policy, line.population, outage, seed);
    return values.quick ? are.scaledDown(whole, 5) : whole;
  });
  for (const { title, rows } of finished) {
    process.stdout.write(
      `\n${[title, aligned(HEAD), ...rows.map(cells).map(aligned)].join('\n')}\n`,
    );
  }
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  process.stdout.write(`\n${seconds} s, seed ${seed}\n`);
  if (values.write) write(finished, seed);
}

/** Every line of every comparison, on as many threads as there are cores. */
async function runAll(experiment: (line: Line, outage: Outage) => Experiment): Promise<Finished[]> {
  const results = new Map<string, Result>();
  const name = ({ title }: Comparison, line: Line) => `${title}, ${line.name}`;
  const jobs = COMPARISONS.flatMap((comparison) =>
    comparison.lines.map((line) => ({ comparison, line })),
  );
  const total = jobs.length;
  const work = async () => {
    const thread = new Worker(LOADER, { argv: [THREAD] });
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
      thread.postMessage(experiment(job.line, job.comparison.outage));
      const [result] = (await once(thread, 'message')) as [Result];
      results.set(name(job.comparison, job.line), result);
      process.stdout.write(`${results.size} of ${total}: ${name(job.comparison, job.line)}\n`);
    }
    await thread.terminate();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return COMPARISONS.map((comparison) => ({
    ...comparison,
    rows: comparison.lines.flatMap((line) => {
      const result = results.get(name(comparison, line));
      return result ? [{ line, result }] : [];
    }),
  }));
}

const HEAD = [
  'policy',
  'calls',
  'attempts',
  'amplification',
  'second half',
  'peak',
  'peak after',
  'failed',
  'wasted',
  'time to recover',
];

function cells({ line, result }: Row): string[] {
  const counts = [result.peak, result.peakAfter, result.failed, result.wasted];
  return [
    line.name,
    result.calls.toLocaleString('en'),
    result.attempts.toLocaleString('en'),
    times(result.amplification),
    times(result.lateAmplification),
    ...counts.map((count) => count.toLocaleString('en')),
    recovery(result),
  ];
}

function times(amplification: number): string {
  return `${amplification.toFixed(2)} ×`;
}

function recovery({ recoveryMs }: Result): string {
  return recoveryMs === undefined ? 'not in this run' : `${(recoveryMs / 1_000).toFixed(1)} s`;
}

const NAME_WIDTH = Math.max(...LINES.map(({ name }) => name.length));

/** One row of the table on the terminal. */
function aligned([name = '', ...figures]: readonly string[]): string {
  const columns = figures.map((figure, index) =>
    figure.padStart(Math.max(6, HEAD[index + 1]?.length ?? 0) + 2),
  );
  return name.padEnd(NAME_WIDTH) + columns.join('');
}

/** Puts the plot beside the guide, and the figures into it in place of the last ones. */
function write(finished: readonly Finished[], seed: number): void {
  writeFileSync(join(GUIDES, 'retrying.svg'), picture(finished.filter(({ drawn }) => drawn)));
  const page = join(GUIDES, 'retrying.md');
  const text = readFileSync(page, 'utf8');
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END);
  if (from < 0 || to < from)
    throw new Error(`${page} lacks the marks between which the figures stand.`);
  const row = (some: readonly string[]) => `| ${some.join(' | ')} |`;
  const figures = finished.map(({ title, rows }) =>
    [
      `**${title}**`,
      '',
      row(HEAD),
      row(HEAD.map((_, column) => (column === 0 ? '---' : '--:'))),
      ...rows.map((some) => row(cells(some))),
    ].join('\n'),
  );
  const date = new Date().toISOString().slice(0, 10);
  const block = [
    BEGIN,
    `${date}, \`npm run simulate:retries -- --seed ${seed}\`, Node ${process.version}.`,
    ...figures,
    END,
  ].join('\n\n');
  writeFileSync(page, `${text.slice(0, from)}${block}${text.slice(to + END.length)}`);
}

function picture(finished: readonly Finished[]): string {
  return draw({
    title: 'What retrying does to a server that has gone down',
    description: describe(finished),
    columns: finished.map(({ title, outage, rows }) => ({
      title,
      outage,
      panels: drawnOf(rows).map(({ line, result }) => ({
        title: line.name,
        note: `${times(result.amplification)}, peak ${result.peak.toLocaleString('en')}, recovers: ${recovery(result)}`,
        arrivals: result.arrivals,
      })),
    })),
    capacity: (are.server.workers * BUCKET_MS) / are.server.serviceMs,
    top: 600,
  });
}

function drawnOf(rows: readonly Row[]): Row[] {
  return rows.filter(({ line }) => line.drawn);
}

function describe(finished: readonly Finished[]): string {
  return finished
    .map(({ title, rows }) => {
      const lines = drawnOf(rows).map(
        ({ line, result }) =>
          `${line.name}: ${result.amplification.toFixed(2)} attempts for each call, ` +
          `at most ${result.peak} in ${BUCKET_MS} ms, time to recover ${recovery(result)}`,
      );
      return `${title}. ${lines.join('; ')}.`;
    })
    .join(' ');
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
