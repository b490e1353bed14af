/**
 * `npm run conformance [-- --json]`: starts our own server with a database of its own, and runs the conformance kit on
 * its /v1, in the profile `stripe`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp } from '../../support/app';
import { onPostgres, runHarness } from '../../support/harness';
import { COMMAND } from './command';
import { ownServerConfig, SLOW_SANDBOX_MS } from './own-server-config';

runHarness(() =>
  onPostgres(async () => {
    const app = await startApp({ env: { SANDBOX_LATENCY_MS: String(SLOW_SANDBOX_MS) } });
    const folder = mkdtempSync(join(tmpdir(), 'paidonce-conformance-'));
    const config = join(folder, 'check.json');
    const text = JSON.stringify(ownServerConfig(app.apiKey, await app.createKey('other')));
    writeFileSync(config, text);
    const args = ['--profile', 'stripe', '--config', config, ...process.argv.slice(2)];
    const program = spawn(process.execPath, [...COMMAND, app.url, ...args], { stdio: 'inherit' });
    const [code] = (await once(program, 'close')) as [number | null];
    await app.close();
    rmSync(folder, { recursive: true });
    return code ?? 2;
  }),
);
