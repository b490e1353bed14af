/**
 * The fault harness runs scenarios and planted bugs. `npm run test:faults -- [--only NAME[,NAME]] [--seed N]
 * [--long] [--write] [--no-bugs]`. It starts its own PostgreSQL, acquirer and servers, all on 127.0.0.1.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { onlyOf, onPostgres, print, runHarness } from '../support/harness';
import { inLanes } from '../support/lanes';
import { clock } from './clock.scenario';
import { failPoints, kills } from './crash.scenario';
import { duplicates } from './duplicates.scenario';
import { frozen } from './frozen.scenario';
import { network } from './network.scenario';
import { type Trap, traps } from './planted-bugs';
import { postgresRestarts } from './postgres.scenario';
import { Chance } from './random';
import { redis } from './redis.scenario';
import { type Line, table, withFigures } from './report';
import { type Report, Skipped, type Scenario } from './scenario';

/** In an order that runs scenarios that compute beside scenarios that wait. */
const scenarios: readonly Scenario[] = [
  postgresRestarts,
  network,
  failPoints,
  redis,
  kills,
  frozen,
  clock,
  duplicates,
];

const PAGE = join(__dirname, '..', '..', 'docs', 'RELIABILITY.md');

/** How many findings of one scenario are shown; the others are counted. */
const MAX_SHOWN = 10;

interface Options {
  readonly only?: readonly string[];
  readonly seed: number;
  readonly long: boolean;
  readonly write: boolean;
  readonly bugs: boolean;
}

async function main(): Promise<number> {
  const options = readOptions();
  const started = performance.now();
  print(`seed ${options.seed} (again with: npm run test:faults -- --seed ${options.seed})`);
  const lines = await onPostgres(() => runAll(options));
  const seconds = Math.round((performance.now() - started) / 1_000);
  print(`\n${table(lines)}\n\n${seconds} s, seed ${options.seed}`);
  if (options.write) {
    const date = new Date().toISOString().slice(0, 10);
    writeFileSync(PAGE, withFigures(readFileSync(PAGE, 'utf8'), lines, { ...options, date }));
  }
  return lines.every(({ passed }) => passed) ? 0 : 1;
}

/** Runs two scenarios at a time, as they mostly wait. Long runs, and scenarios that disturb all others, run alone. */
async function runAll(options: Options): Promise<Line[]> {
  const set = scenarios.filter(({ name }) => chosen(options, name));
  const sprung = traps.filter(
    ({ bug, scenario }) =>
      options.bugs && (chosen(options, scenario) || options.only?.includes(bug)),
  );
  const lines: Line[] = [];
  for (const scenario of set.filter(({ alone }) => alone)) {
    lines.push(await runScenario(scenario, options));
  }
  const others = [
    ...set.filter(({ alone }) => !alone).map((one) => () => runScenario(one, options)),
    ...sprung.map((trap) => () => runTrap(trap, options)),
  ];
  return [...lines, ...(await inLanes(options.long ? 1 : 2, others))];
}

async function runScenario(scenario: Scenario, options: Options): Promise<Line> {
  print(`${scenario.name}: ${scenario.about}`);
  const line = await measured(scenario, options);
  const shown = line.findings.slice(0, MAX_SHOWN);
  for (const { rule, what } of shown) print(`  ${scenario.name}: ${rule} ${what}`);
  const hidden = line.findings.length - MAX_SHOWN;
  if (hidden > 0) print(`  ${scenario.name}: and ${hidden} more`);
  return line;
}

/** Runs a scenario with a planted bug: it must break one of the expected rules. */
async function runTrap(trap: Trap, options: Options): Promise<Line> {
  const scenario = scenarios.find(({ name }) => name === trap.scenario);
  if (!scenario) throw new Error(`${trap.bug} names no scenario.`);
  print(`planted ${trap.bug}, to be caught by ${trap.scenario} (${trap.by.join(', ')})`);
  const short = { ...options, long: false };
  const line = await measured(
    { ...scenario, name: `${trap.bug} in ${scenario.name}` },
    short,
    trap,
  );
  if (line.skipped) return line;
  const caught = line.findings.filter(({ rule }) => trap.by.includes(rule));
  for (const { rule, what } of caught.slice(0, 3)) {
    print(`  ${trap.bug} caught by ${rule}: ${what}`);
  }
  if (caught.length === 0) print(`  ${trap.bug} NOT CAUGHT`);
  const rules = [...new Set(caught.map(({ rule }) => rule))];
  const notes = [caught.length > 0 ? `caught by ${rules.join(', ')}` : 'NOT CAUGHT'];
  return { ...line, planted: true, passed: caught.length > 0, notes };
}

async function measured(scenario: Scenario, options: Options, trap?: Trap): Promise<Line> {
  const started = performance.now();
  // By name, so that a scenario makes the same choices alone and among others.
  const chance = new Chance(options.seed + sumOf(scenario.name));
  const say = (what: string) => print(`  ${trap?.bug ?? scenario.name}: ${what}`);
  let report: Report;
  try {
    report = await scenario.run({ chance, long: options.long, bug: trap?.bug, say });
  } catch (error) {
    if (!(error instanceof Skipped) || process.env.CI === 'true') throw error;
    say(`skipped: ${error.message}`);
    const nothing = { faults: 0, keys: 0, retries: 0, findings: [], finalMs: 0 };
    const notes = [`skipped: ${error.message}`];
    const result = { name: scenario.name, notes, seconds: 0, passed: true };
    return { ...nothing, ...result, planted: trap !== undefined, skipped: true };
  }
  const seconds = Math.round((performance.now() - started) / 1_000);
  const passed = report.findings.length === 0;
  for (const note of trap ? [] : report.notes) say(note);
  if (!trap) say(`all final ${(report.finalMs / 1_000).toFixed(1)} s after the faults`);
  say(`${passed ? 'no violation' : `${report.findings.length} violations`}, ${seconds} s`);
  return { ...report, name: scenario.name, seconds, passed, planted: false };
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      seed: { type: 'string' },
      long: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      'no-bugs': { type: 'boolean', default: false },
    },
  });
  const known = [...scenarios.map(({ name }) => name), ...traps.map(({ bug }) => bug)];
  const only = onlyOf(values.only, known);
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000_000));
  if (!Number.isSafeInteger(seed)) throw new Error('--seed takes a whole number.');
  return { only, seed, long: values.long, write: values.write, bugs: !values['no-bugs'] };
}

const chosen = ({ only }: Options, name: string): boolean => only?.includes(name) ?? true;

const sumOf = (name: string): number =>
  Buffer.from(name).reduce((sum, byte) => (sum * 31 + byte) % 1_000_000_007, 7);

runHarness(main);
