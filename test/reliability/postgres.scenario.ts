/** PostgreSQL crashes again and again while requests are in flight. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import type { TestRun } from '../support/global-setup';
import { ResponseWatch, servedAgain } from './response-watch';
import { Load } from './load';
import { inTestbed, type Run, type Scenario, type ScenarioResult } from './scenario';
import type { Testbed } from './testbed';

/** From the first connection that PostgreSQL accepts to the first request that is served, ms. */
const BACK_WITHIN_MS = 2_000;

export const postgresRestarts: Scenario = {
  name: 'postgres',
  about: 'PostgreSQL is restarted in mode immediate under 16 clients',
  alone: true,
  run: (run) =>
    inTestbed(run, { acquirer: { latencyMs: 0, latencyMaxMs: 300 } }, (testbed) =>
      restart(testbed, run),
    ),
};

async function restart(testbed: Testbed, { chance, long, say }: Run): Promise<ScenarioResult> {
  await testbed.startServer();
  const watch = new ResponseWatch();
  testbed.clients.onSent = (sent) => watch.see(sent);
  const load = new Load(testbed.clients, chance.fork(), { clients: 16, allMs: 60_000 });
  const restarts = long ? 50 : 3;
  let slowestMs = 0;
  for (let done = 1; done <= restarts; done += 1) {
    await pause(long ? 10_000 : chance.between(2_000, 4_000));
    endPostgres();
    const acceptedMs = await accepts(testbed.databaseUrl);
    const tookMs = (await servedAgain(testbed)) - acceptedMs;
    slowestMs = Math.max(slowestMs, tookMs);
    say(`${done} of ${restarts} restarts, back after ${Math.round(tookMs)} ms`);
  }
  testbed.calm();
  await load.stop();
  const findings = watch.findings.slice();
  if (slowestMs > BACK_WITHIN_MS + testbed.slackMs) {
    findings.push({
      rule: 'recovery',
      what: `served only ${Math.round(slowestMs)} ms after it was back`,
    });
  }
  return {
    faults: restarts,
    findings,
    notes: [`served at most ${Math.round(slowestMs)} ms after PostgreSQL accepts`, ...watch.notes],
  };
}

/** As `pg_ctl stop -m immediate`: without a checkpoint. Its launcher starts it again. */
function endPostgres(): void {
  const { testRun } = globalThis as typeof globalThis & { testRun?: TestRun };
  if (!testRun) throw new Error('The harness started no PostgreSQL.');
  const file = join(testRun.dataDir, 'postgres', 'postmaster.pid');
  process.kill(Number(readFileSync(file, 'utf8').split('\n', 1)[0]), 'SIGQUIT');
}

/** Waits until PostgreSQL accepts connections; returns when, on the clock of `performance.now()`. */
async function accepts(url: string): Promise<number> {
  await pause(50); // it may accept one more before the signal arrives
  for (;;) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('SELECT 1');
      return performance.now();
    } catch {
      await pause(20);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
