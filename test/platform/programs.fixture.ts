/** Programs of the project as their own processes, with a data directory of the test file's own. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually';
import { type RunningServer, startServer, stopAll } from '../support/server';

/** A space in it, as in many a home directory. */
export const home = mkdtempSync(join(tmpdir(), 'paid once '));
chmodSync(home, 0o755);
export const dataDir = join(home, 'data');

/** To be called once in a test file: no process and no file outlives it. */
export function cleanUpAfterwards(): void {
  afterEach(stopAll);
  afterAll(() => rmSync(home, { recursive: true, force: true }));
}

/** Starts a server on the embedded PostgreSQL in `dataDir`. */
export const start = (env: Record<string, string> = {}) =>
  startServer({ env: { DATA_DIR: dataDir, ...env } });

export function postmasterPid(dir = dataDir): number {
  return Number(readFileSync(join(dir, 'postgres', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
}

export function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}

export function api(
  server: RunningServer,
  path: string,
  init: RequestInit & { key?: string } = {},
) {
  const headers = new Headers(init.headers);
  headers.set('authorization', `Bearer ${init.key ?? server.apiKey}`);
  return fetch(`${server.url}${path}`, { ...init, headers });
}

/** Waits for a 200: a slow machine makes the server wait for its database, and respond with 503. */
export const healthy = ({ url }: RunningServer) =>
  eventually('the server is healthy', async () => (await fetch(`${url}/health`)).ok);
