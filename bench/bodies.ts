/**
 * What the worst kinds of bodies cost to read and to refuse, in milliseconds of CPU of all threads: in a
 * process that has read others like them, and as the first body of a process, with what V8 compiles then.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { readBody } from '../src/wire/request/request-reader';
import { COSTLY_BODIES } from '../test/wire/costly-bodies';
import { type Extent, median, type Row, spreadOf } from './figures';
import type { Stage } from './stage';

/** In bytes, with the most milliseconds of CPU that one may cost. */
const SIZES = [
  { bytes: 1_000_000, name: '1 MB', goal: 120, times: 1 },
  { bytes: 10_000, name: '10 KB', goal: 5, times: 20 },
] as const;
type Size = (typeof SIZES)[number];

/** Kinds with the most characters that are looked up for the first time, and the most parameters. */
const FIRST_KINDS = [
  'JSON: all characters, far apart',
  'JSON: all characters, at some distance',
  'form: 1000 parameters',
];
/** How many of the costliest kinds have a row of their own. */
const SHOWN = 3;

export async function measureBodies(_stage: Stage, extent: Extent): Promise<Row[]> {
  const rows: Row[] = [];
  for (const size of SIZES) {
    const kinds = Object.keys(COSTLY_BODIES).map((kind) => ({
      kind,
      costs: costsOf(kind, size, extent),
    }));
    kinds.sort((a, b) => median(b.costs) - median(a.costs));
    for (const { kind, costs } of kinds.slice(0, SHOWN)) {
      rows.push(rowOf(`${size.name}, ${kind}`, costs, size));
    }
    const middle = kinds.map(({ costs }) => median(costs));
    rows.push(rowOf(`${size.name}, the middle one of ${kinds.length} kinds`, middle, size));
    extent.say(`${size.name}: ${kinds.length} kinds`);
  }
  for (const size of SIZES) {
    for (const kind of FIRST_KINDS) {
      const costs = Array.from({ length: extent.rounds }, () => firstCost(kind, size));
      rows.push(rowOf(`${size.name}, first of a process, ${kind}`, costs, size));
    }
    extent.say(`${size.name}: first of a process`);
  }
  return rows;
}

function costsOf(kind: string, { bytes, times }: Size, extent: Extent): number[] {
  const { type, make } = COSTLY_BODIES[kind] ?? never(kind);
  const body = make(bytes);
  const cost = () => {
    const begun = process.cpuUsage();
    for (let time = 0; time < times; time += 1) refuse(body, type);
    return millisecondsSince(begun) / times;
  };
  cost();
  return Array.from({ length: extent.rounds }, cost);
}

function refuse(body: Buffer, type: string): void {
  try {
    readBody(body, { 'content-type': type });
  } catch {
    // As it should be.
  }
}

/** The same in a process that has read no body before. */
function firstCost(kind: string, { bytes }: Size): number {
  const program = [join(__dirname, '../test/support/run.cjs'), __filename, kind, String(bytes)];
  return Number(execFileSync(process.execPath, program, { encoding: 'utf8' }));
}

function printFirstCost(kind: string, bytes: number): void {
  const { type, make } = COSTLY_BODIES[kind] ?? never(kind);
  const body = make(bytes);
  const begun = process.cpuUsage();
  refuse(body, type);
  process.stdout.write(String(millisecondsSince(begun)));
}

function millisecondsSince(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1_000;
}

function rowOf(what: string, costs: readonly number[], { goal }: Size): Row {
  const { low, high } = spreadOf(costs);
  const middle = median(costs);
  return {
    case: what,
    against: '',
    ours: `${middle.toFixed(1)} ms (${low.toFixed(1)} to ${high.toFixed(1)})`,
    theirs: '',
    goal: `≤ ${goal} ms`,
    reached: middle <= goal,
  };
}

function never(kind: string): never {
  throw new Error(`There is no body ${kind}.`);
}

const [, program, kind, bytes] = process.argv;
if (program === __filename && kind !== undefined) printFirstCost(kind, Number(bytes));
