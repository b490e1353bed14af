/**
 * The benchmark: `npm run bench -- [--quick] [--only NAME[,NAME]] [--write]`. It starts its own
 * database, application and load, on 127.0.0.1, and measures everything in turns.
 */
import { parseArgs } from 'node:util';
import { measureBodies } from './bodies';
import { measureCleanRoom } from './clean-room';
import { measureContention } from './contention';
import { measureEndurance } from './endurance';
import { type Extent, type Row } from './figures';
import { measureFloor } from './floor';
import { measurePairs } from './pairs';
import { measurePayments } from './payments';
import { measurePurge } from './purging';
import { cells, writeReport } from './report';
import { measureScale } from './scale';
import { Stage } from './stage';
import { measureStartup } from './startup';
import { measureTextbook } from './textbook';

const MEASUREMENTS: Readonly<Record<string, (stage: Stage, extent: Extent) => Promise<Row[]>>> = {
  pairs: measurePairs,
  'clean-room': measureCleanRoom,
  textbook: measureTextbook,
  floor: measureFloor,
  payments: measurePayments,
  contention: measureContention,
  bodies: measureBodies,
  purge: measurePurge,
  scale: measureScale,
  memory: measureEndurance,
  start: measureStartup,
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  });
  const names = values.only?.split(',') ?? Object.keys(MEASUREMENTS);
  const unknown = names.find((name) => !(name in MEASUREMENTS));
  if (unknown)
    throw new Error(`There is no ${unknown}, but ${Object.keys(MEASUREMENTS).join(', ')}.`);
  const say = (what: string) => void process.stdout.write(`  ${what}\n`);
  const extent = values.quick
    ? { quick: true, rounds: 1, seconds: 1, say }
    : { quick: false, rounds: 5, seconds: 4, say };
  const options = process.argv.slice(2).filter((option) => option !== '--write');
  const command = ['npm run bench --', ...options].join(' ');
  const started = performance.now();
  const all: Row[] = [];
  // For figures that count, each part gets a fresh PostgreSQL.
  if (values.quick) await Stage.prepare();
  try {
    for (const name of names) {
      process.stdout.write(`${name}\n`);
      const begun = performance.now();
      const rows = await measured(name, extent);
      all.push(...rows);
      const seconds = Math.round((performance.now() - begun) / 1_000);
      if (values.write) writeReport(Object.keys(MEASUREMENTS), { name, rows, command, seconds });
    }
  } finally {
    if (values.quick) await Stage.clear();
  }
  for (const row of all) process.stdout.write(`${cells(row).join(' · ')}\n`);
  process.stdout.write(`${Math.round((performance.now() - started) / 1_000)} s\n`);
}

async function measured(name: string, extent: Extent): Promise<Row[]> {
  const stage = await Stage.open(extent.quick);
  try {
    return (await MEASUREMENTS[name]?.(stage, extent)) ?? [];
  } finally {
    await stage.close();
  }
}

main().then(
  () => process.exit(0),
  (error: Error) => {
    process.stderr.write(`${error.stack ?? error.message}\n`);
    process.exit(1);
  },
);
