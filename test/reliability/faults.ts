/**
 * The fault harness: `npm run test:faults -- [--only NAME[,NAME]] [--seed N] [--long] [--write]
 * [--no-bugs]`. Everything runs on 127.0.0.1, on a PostgreSQL, an acquirer and servers of its own.
 */
import { parseArgs } from 'node:util';
import globalSetup from '../support/global-setup';
import globalTeardown from '../support/global-teardown';
import { killAll } from '../support/server';
import { failPoints, kills } from './crash.scenario';
import { duplicates } from './duplicates.scenario';
import { frozen } from './frozen.scenario';
import { network } from './network.scenario';
import { type Trap, traps } from './planted-bugs';
import { postgresRestarts } from './postgres.scenario';
import { Chance } from './random';
import { redis } from './redis.scenario';
import { type Line, table, writeReport } from './report';
import { type Report, Skipped, type Scenario } from './scenario';

const scenarios: readonly Scenario[] = [
  failPoints,
  duplicates,
  frozen,
  postgresRestarts,
  network,
  redis,
  kills,
];

/** Findings of one scenario that are shown; more are counted. */
const MOST_SHOWN = 10;

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
  await globalSetup();
  const lines: Line[] = [];
  try {
    for (const scenario of scenarios) {
      if (chosen(options, scenario.name)) lines.push(await runScenario(scenario, options));
    }
    const set = traps.filter(
      ({ bug, scenario }) =>
        options.bugs && (chosen(options, scenario) || options.only?.includes(bug)),
    );
    // Two at a time: they mostly wait for leases.
    for (let at = 0; at < set.length; at += 2) {
      const pair = set.slice(at, at + 2);
      lines.push(...(await Promise.all(pair.map((trap) => runTrap(trap, options)))));
    }
  } finally {
    await killAll();
    await globalTeardown();
  }
  const seconds = Math.round((performance.now() - started) / 1_000);
  print(`\n${table(lines)}\n\n${seconds} s, seed ${options.seed}`);
  if (options.write) writeReport(lines, { ...options, seconds, command: commandOf(options) });
  return lines.every(({ passed }) => passed) ? 0 : 1;
}

async function runScenario(scenario: Scenario, options: Options): Promise<Line> {
  print(`\n${scenario.name}: ${scenario.about}`);
  const line = await measured(scenario, options);
  for (const { rule, what } of line.findings.slice(0, MOST_SHOWN)) print(`  ${rule} ${what}`);
  const hidden = line.findings.length - MOST_SHOWN;
  if (hidden > 0) print(`  and ${hidden} more`);
  return line;
}

/** The scenario must find what was planted, by the rules that were foretold. */
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
  // By name, so that a scenario does the same whether it runs alone or among the others.
  const chance = new Chance(options.seed + sumOf(scenario.name));
  const say = (what: string) => print(`  ${trap ? `${trap.bug}: ` : ''}${what}`);
  let report: Report;
  try {
    report = await scenario.run({ chance, long: options.long, bug: trap?.bug, say });
  } catch (error) {
    if (!(error instanceof Skipped)) throw error;
    print(`  skipped: ${error.message}`);
    const nothing = { faults: 0, keys: 0, retries: 0, findings: [] };
    const notes = [`skipped: ${error.message}`];
    return { ...nothing, name: scenario.name, notes, seconds: 0, passed: true, planted: false };
  }
  const seconds = Math.round((performance.now() - started) / 1_000);
  const passed = report.findings.length === 0;
  for (const note of trap ? [] : report.notes) say(note);
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
  const only = values.only?.split(',');
  const known = [...scenarios.map(({ name }) => name), ...traps.map(({ bug }) => bug)];
  for (const name of only ?? []) {
    if (known.every((other) => other !== name)) {
      throw new Error(`There is no scenario ${name}, but ${known.join(', ')}.`);
    }
  }
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000_000));
  if (!Number.isSafeInteger(seed)) throw new Error('--seed takes a whole number.');
  return { only, seed, long: values.long, write: values.write, bugs: !values['no-bugs'] };
}

function commandOf({ only, seed, long, bugs }: Options): string {
  const words = [
    ...(only ? [`--only ${only.join(',')}`] : []),
    ...(long ? ['--long'] : []),
    ...(bugs ? [] : ['--no-bugs']),
    `--seed ${seed}`,
  ];
  return `npm run test:faults -- ${words.join(' ')}`;
}

const chosen = ({ only }: Options, name: string): boolean => only?.includes(name) ?? true;

const sumOf = (name: string): number =>
  Buffer.from(name).reduce((sum, byte) => (sum * 31 + byte) % 1_000_000_007, 7);

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** Ends what was started, and nothing else, when it is told to stop in the middle. */
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void killAll()
      .then(() => globalTeardown())
      .then(() => process.exit(130));
  });
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`${error.stack ?? error.message}\n`);
    process.exit(2);
  },
);
