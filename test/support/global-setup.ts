/**
 * Once for a run of the tests: one embedded PostgreSQL, on which each test file makes its own
 * database, and the programs of src compiled as `npm start` does, for the tests that start them.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../src/embedded-postgres/embedded-postgres';

const ROOT = join(__dirname, '..', '..');

export interface TestRun {
  readonly dataDir: string;
  readonly programs: string;
  readonly server: EmbeddedPostgres;
}

export default async function globalSetup(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'paidonce-test-'));
  chmodSync(dataDir, 0o755);
  const programs = compiled();
  const server = await startEmbeddedPostgres({ dataDir });
  process.env.TEST_DATABASE_URL = server.url;
  process.env.TEST_PROGRAMS = programs;
  Object.assign(globalThis, { testRun: { dataDir, programs, server } satisfies TestRun });
}

/**
 * Inside node_modules, so that they find their packages and no other run of the tests finds them.
 */
function compiled(): string {
  const directory = join(ROOT, 'node_modules', '.cache', `paidonce-test-${process.pid}`);
  const swc = join(ROOT, 'node_modules', '@swc', 'cli', 'bin', 'swc.js');
  const args = [swc, 'src', '--out-dir', directory, '--strip-leading-paths', '--quiet'];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(`src does not compile: ${stderr}`);
  return directory;
}
