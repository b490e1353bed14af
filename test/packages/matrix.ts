/**
 * `npm run test:packages [NAME…]`: the package of the decorator in fresh applications, installed from the registry
 * in temporary folders, one for each line of APPLICATIONS. Type-checks, starts and tries each; prints what the
 * package adds to it. Needs the registry; without it, it says so and is skipped.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import globalSetup from '../support/global-setup';
import globalTeardown from '../support/global-teardown';
import { killAll } from '../support/server';
import { APPLICATIONS, type Application } from './applications';
import { cutPackage } from './cut';
import { type Cost, FreshApplication } from './fresh-application';
import { tryApplication } from './trial';

/** How many applications are installed and tried at once. */
const LANES = 2;

const started = performance.now();
const home = mkdtempSync(join(tmpdir(), 'paidonce-matrix-'));
const rows: {
  application: string;
  'packages added': number;
  'KB added': number;
  result: string;
}[] = [];

function say(text: string): void {
  const seconds = ((performance.now() - started) / 1_000).toFixed(1).padStart(5);
  process.stdout.write(`${seconds} s  ${text}\n`);
}

function registryReplies(): boolean {
  const args = ['view', '@nestjs/common@12.5.1', 'version', '--fetch-retries', '0'];
  const { status } = spawnSync('npm', args, { cwd: home, encoding: 'utf8', timeout: 60_000 });
  return status === 0;
}

async function tryOne(application: Application, tarball: string): Promise<void> {
  const { name } = application;
  let cost: Cost = { packages: NaN, kilobytes: NaN };
  let result = 'passed';
  try {
    const fresh = await FreshApplication.install(application, join(home, name), tarball);
    cost = fresh.cost;
    await fresh.compile();
    say(`${name}: installed, and compiles under strict`);
    await tryApplication(fresh, (sentence) => say(`${name}: ${sentence}`));
  } catch (error) {
    result = 'FAILED';
    say(`${name}: FAILED: ${error instanceof Error ? error.message : String(error)}`);
  }
  rows.push({
    application: name,
    'packages added': cost.packages,
    'KB added': cost.kilobytes,
    result,
  });
}

async function main(): Promise<void> {
  const asked = process.argv.slice(2);
  const chosen = APPLICATIONS.filter(({ name }) => asked.length === 0 || asked.includes(name));
  if (chosen.length < Math.max(1, asked.length)) {
    throw new Error(`The applications are ${APPLICATIONS.map(({ name }) => name).join(', ')}.`);
  }
  const packages = join(home, 'packages');
  mkdirSync(packages);
  const tarball = cutPackage('idempotency', packages);
  await globalSetup();
  const queue = chosen.values(); // shared: each lane takes the next
  const lane = async () => {
    for (const application of queue) await tryOne(application, tarball);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  process.stdout.write(
    rows
      .toSorted((a, b) => a.application.localeCompare(b.application))
      .map(
        (row) =>
          `${Object.entries(row)
            .map(([key, value]) => `${key}: ${value}`)
            .join('  ')}\n`,
      )
      .join(''),
  );
}

async function cleanUp(): Promise<void> {
  await killAll();
  await globalTeardown();
  rmSync(home, { recursive: true, force: true });
}

async function run(): Promise<void> {
  if (!registryReplies()) {
    say('skipped: npm cannot reach the registry, and the applications are installed from there.');
    rmSync(home, { recursive: true, force: true });
    return;
  }
  try {
    await main();
  } catch (error) {
    say(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
  await cleanUp();
  if (rows.some(({ result }) => result !== 'passed')) process.exitCode = 1;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void cleanUp().then(() => process.exit(130)));
}

void run().then(() => process.exit());
