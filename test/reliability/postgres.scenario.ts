/** PostgreSQL is ended without a shutdown, again and again, while requests are under way. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import type { TestRun } from '../support/global-setup';
import { AnswerWatch, servedAgain } from './answer-watch';
import { Load } from './load';
import { inWorld, type Run, type Scenario, type Told } from './scenario';
import type { World } from './world';

/** From the first connection that PostgreSQL takes to the first request that is served. */
const BACK_WITHIN_MS = 2_000;

export const postgresRestarts: Scenario = {
  name: 'postgres',
  about: 'PostgreSQL is restarted in mode immediate under 16 clients',
  alone: true,
  run: (run) =>
    inWorld(run, { acquirer: { latencyMs: 0, latencyMaxMs: 300 } }, (world) => restart(world, run)),
};

async function restart(world: World, { chance, long, say }: Run): Promise<Told> {
  await world.startServer();
  const watch = new AnswerWatch();
  world.clients.onSent = (sent) => watch.see(sent);
  const load = new Load(world.clients, chance.fork(), { clients: 16, allMs: 60_000 });
  const restarts = long ? 50 : 3;
  let slowestMs = 0;
  for (let done = 1; done <= restarts; done += 1) {
    await pause(long ? 10_000 : chance.between(2_000, 4_000));
    endPostgres();
    const acceptedMs = await accepts(world.databaseUrl);
    const tookMs = (await servedAgain(world)) - acceptedMs;
    slowestMs = Math.max(slowestMs, tookMs);
    say(`${done} of ${restarts} restarts, back after ${Math.round(tookMs)} ms`);
  }
  world.calm();
  await load.stop();
  const findings = watch.findings.slice();
  if (slowestMs > BACK_WITHIN_MS + world.slackMs) {
    findings.push({
      rule: 'recovery',
      what: `served only ${Math.round(slowestMs)} ms after it was back`,
    });
  }
  return {
    faults: restarts,
    findings,
    notes: [`served at most ${Math.round(slowestMs)} ms after PostgreSQL accepts`, ...watch.told],
  };
}

/** As `pg_ctl stop -m immediate`: no checkpoint, no farewell. Its launcher starts it again. */
function endPostgres(): void {
  const { testRun } = globalThis as typeof globalThis & { testRun?: TestRun };
  if (!testRun) throw new Error('There is no PostgreSQL of our own.');
  const file = join(testRun.dataDir, 'postgres', 'postmaster.pid');
  process.kill(Number(readFileSync(file, 'utf8').split('\n', 1)[0]), 'SIGQUIT');
}

/** When it takes connections again, on the clock of `performance.now()`. */
async function accepts(url: string): Promise<number> {
  await pause(50); // it may still take one before it has heard
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
