/**
 * Attacks on a running server, with a victim that pays: `npm run test:attacks -- [--only NAME[,NAME]]
 * [--short | --seconds N] [--write] [--no-plants]`. Everything runs on 127.0.0.1, and ends by itself.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { onlyOf, onPostgres, print, runHarness } from '../support/harness';
import { inLanes } from '../support/lanes';
import { Arena } from './arena';
import type { Attack, Planted } from './attack';
import { attacks } from './catalogue';
import { type Trap, traps } from './planted-weaknesses';
import { type Line, table, withFigures } from './report';

const PAGE = join(__dirname, '..', '..', 'docs', 'RELIABILITY.md');

/** Findings of one attack that are shown; more are counted. */
const MAX_SHOWN = 10;
/** How long an attack is repeated, s. Shorter phases say little of what is left in memory. */
const DEFAULT_SECONDS = 60;
const MIN_SECONDS = 10;

interface Options {
  readonly only?: readonly string[];
  /** Of both phases of each attack; 0 in a short run. */
  readonly seconds: number;
  readonly write: boolean;
  readonly plants: boolean;
}

interface Outcome {
  readonly passed: boolean;
  /** Of an attack without a planted weakness. */
  readonly line?: Line;
}

async function main(): Promise<number> {
  if (process.platform !== 'linux')
    throw new Error('Processes are looked at through /proc: Linux alone.');
  const options = readOptions();
  const started = performance.now();
  const outcomes = await onPostgres(() => runAll(options));
  const lines = outcomes.flatMap(({ line }) => line ?? []);
  if (lines.length > 0) print(`\n${table(lines)}`);
  if (options.write) {
    const date = new Date().toISOString().slice(0, 10);
    writeFileSync(PAGE, withFigures(readFileSync(PAGE, 'utf8'), lines, date));
  }
  const failed = outcomes.filter(({ passed }) => !passed).length;
  const seconds = Math.round((performance.now() - started) / 1_000);
  print(`\n${seconds} s\n${outcomes.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Long ones are measured, and so run alone; what only counts shares the machine. */
async function runAll(options: Options): Promise<Outcome[]> {
  const chosen = (name: string) => options.only?.includes(name) ?? true;
  const set = attacks.filter(({ name }) => chosen(name));
  const sprung = traps.filter(
    ({ weakness, attack }) =>
      options.plants && (chosen(attack) || options.only?.includes(weakness)),
  );
  const lanes = options.seconds === 0 ? 2 : 1;
  const real = await inLanes(
    lanes,
    set.map((attack) => () => runAttack(attack, options.seconds)),
  );
  const planted = await inLanes(
    2,
    sprung.map((trap) => () => runTrap(trap)),
  );
  return [...real, ...planted];
}

async function runAttack(attack: Attack<Arena>, seconds: number): Promise<Outcome> {
  print(`${attack.name}: ${attack.about}`);
  const line = await measured(attack, seconds);
  for (const { rule, what } of line.findings.slice(0, MAX_SHOWN)) {
    print(`  ${attack.name}: ${rule}: ${what}`);
  }
  const hidden = line.findings.length - MAX_SHOWN;
  if (hidden > 0) print(`  ${attack.name}: and ${hidden} more`);
  const verdict = line.passed ? 'held' : `${line.findings.length} findings`;
  print(`  ${attack.name}: ${verdict}, ${line.seconds} s`);
  return { passed: line.passed, line };
}

/** The attack must find what was planted, by the rules that were foretold. */
async function runTrap({ weakness, check, attack: name, by }: Trap): Promise<Outcome> {
  const attack = attacks.find((one) => one.name === name);
  if (!attack) throw new Error(`${weakness} names no attack.`);
  print(`planted ${weakness}, to be noticed by ${name} (${by.join(', ')})`);
  const { findings, seconds } = await measured(attack, 0, { weakness, check });
  const [caught] = findings.filter(({ rule }) => by.includes(rule));
  const told = caught ? `noticed by ${caught.rule}: ${caught.what}` : 'NOT NOTICED';
  print(`  ${weakness} ${told}, ${seconds} s`);
  return { passed: caught !== undefined };
}

async function measured(
  attack: Attack<Arena>,
  phaseSeconds: number,
  planted?: Planted,
): Promise<Line> {
  const started = performance.now();
  const say = (what: string) => print(`  ${planted?.weakness ?? attack.name}: ${what}`);
  const run = { long: phaseSeconds > 0, seconds: phaseSeconds, planted, say };
  const arena = await Arena.open(run, attack.env);
  try {
    const report = await arena.fight(attack);
    const seconds = Math.round((performance.now() - started) / 1_000);
    const passed = report.findings.length === 0;
    return { ...report, name: attack.name, phaseSeconds, seconds, passed };
  } finally {
    await arena.close();
  }
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      short: { type: 'boolean', default: false },
      seconds: { type: 'string', default: String(DEFAULT_SECONDS) },
      write: { type: 'boolean', default: false },
      'no-plants': { type: 'boolean', default: false },
    },
  });
  const known = [...attacks.map(({ name }) => name), ...traps.map(({ weakness }) => weakness)];
  const only = onlyOf(values.only, known);
  if (values.write && values.short) throw new Error('--write takes the figures of a long run.');
  const seconds = values.short ? 0 : Number(values.seconds);
  if (!values.short && !(seconds >= MIN_SECONDS)) {
    throw new Error(`--seconds is a number, at least ${MIN_SECONDS}.`);
  }
  return { only, seconds, write: values.write, plants: !values['no-plants'] };
}

runHarness(main);
