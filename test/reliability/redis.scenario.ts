/**
 * Redis, which runs the jobs, is killed, flushed, frozen and full, and the network to it fails. No request may
 * wait for Redis, and the jobs must run again without help.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { hasRedis, Redis } from '../support/redis';
import { TcpProxy } from '../support/tcp-proxy';
import { ResponseWatch } from './response-watch';
import { Load } from './load';
import { inject, NETWORK_FAULTS, type NetworkFault } from './network-faults';
import { inTestbed, type Run, type Scenario, Skipped, type ScenarioResult } from './scenario';
import type { Finding, PlantedBug, Testbed } from './testbed';

type RedisFault = 'kill' | 'flush' | 'freeze' | 'full' | NetworkFault;

const FAULTS: readonly RedisFault[] = ['kill', 'flush', 'freeze', 'full', ...NETWORK_FAULTS];
/** How long Redis is down, frozen, full or behind a black hole, ms: longer than a request may take. */
const AWAY_MS = 4_000;
/** The interval of each job, s. */
const JOBS_EVERY_S = 1;
/** Health turns red when the last report is older than this, s. */
const REPORT_LAG_S = 2;
/** From the end of a fault to the next run of every job, ms. */
const JOBS_BACK_WITHIN_MS = 30_000;
/** The longest time a request may take, ms: no request needs Redis. */
const REQUEST_BOUND_MS = 3_000;

export const redis: Scenario = {
  name: 'redis',
  about:
    'Redis, with the jobs on it, is killed, flushed, frozen and full, and the network to it delays, ' +
    'drips, resets, swallows and leaves half open, under 8 clients',
  run: async (run) => {
    if (!hasRedis) throw new Skipped('there is no redis-server on the PATH');
    const server = await Redis.start();
    const proxy = await TcpProxy.to(server.url);
    try {
      const env = {
        REDIS_URL: proxy.url,
        PURGE_INTERVAL_SECONDS: String(JOBS_EVERY_S),
        JOBS_REPORT_INTERVAL_SECONDS: String(JOBS_EVERY_S),
        HEALTH_MAX_REPORT_LAG_SECONDS: String(REPORT_LAG_S),
      };
      const acquirer = { latencyMs: 100, latencyMaxMs: 300 };
      return await inTestbed(run, { acquirer, env }, (testbed) =>
        disturb(testbed, server, proxy, run),
      );
    } finally {
      await proxy.close();
      await server.stop();
    }
  },
};

async function disturb(
  testbed: Testbed,
  server: Redis,
  proxy: TcpProxy,
  run: Run,
): Promise<ScenarioResult> {
  const { bug, chance, long, say } = run;
  await testbed.startWorker();
  const watch = new ResponseWatch(REQUEST_BOUND_MS + testbed.slackMs);
  let [sent, served] = [0, 0];
  testbed.clients.onSent = (one) => {
    watch.see(one);
    if (!one.res) return;
    sent += 1;
    if (one.res.status < 500) served += 1;
  };
  const load = new Load(testbed.clients, chance.fork(), { clients: 8 });
  const findings: Finding[] = [];
  let [faults, slowestMs] = [0, 0];
  for (let round = 0; round < (long ? 20 : 1); round += 1) {
    for (const fault of faultsFor(bug)) {
      await pause(chance.between(500, 1_500));
      await disturbRedis(fault, server, proxy, AWAY_MS + testbed.slackMs);
      const tookMs = await jobsBack(testbed);
      faults += 1;
      slowestMs = Math.max(slowestMs, tookMs);
      const what = `${fault}, jobs back after ${Math.round(tookMs)} ms`;
      say(`${what}, ${testbed.clients.count} keys`);
      if (tookMs > JOBS_BACK_WITHIN_MS + testbed.slackMs) findings.push({ rule: 'jobs', what });
    }
  }
  testbed.calm();
  await load.stop();
  const share = served / Math.max(1, sent);
  const servedShare = `${(share * 100).toFixed(2)} % served`;
  if (share < 0.999) findings.push({ rule: 'answers', what: `only ${servedShare}` });
  const back = `jobs back at most ${(slowestMs / 1_000).toFixed(1)} s after the fault`;
  return {
    faults,
    findings: [...findings, ...watch.findings],
    notes: [servedShare, back, ...watch.notes],
  };
}

/** With a planted bug, only the fault that shows it. */
function faultsFor(bug: PlantedBug | undefined): readonly RedisFault[] {
  if (bug === undefined) return FAULTS;
  return bug === 'jobs_declared_once' ? ['flush'] : ['black hole'];
}

async function disturbRedis(
  fault: RedisFault,
  server: Redis,
  proxy: TcpProxy,
  awayMs: number,
): Promise<void> {
  switch (fault) {
    case 'kill':
      await server.kill9();
      await pause(awayMs);
      await server.startAgain();
      break;
    case 'flush':
      await server.command('FLUSHALL');
      break;
    case 'freeze':
      server.freeze();
      await pause(awayMs);
      server.thaw();
      break;
    case 'full':
      // Far below its use of memory: with its default policy it refuses every write.
      await server.command('CONFIG SET maxmemory 1000');
      await pause(awayMs);
      await server.command('CONFIG SET maxmemory 0');
      break;
    default:
      await inject(fault, proxy, awayMs);
  }
}

/**
 * Waits until every job has run since now, by the database's clock, and every server is healthy.
 *
 * @returns how long that took, ms; more than the bound where it did not happen
 */
async function jobsBack(testbed: Testbed): Promise<number> {
  const started = performance.now();
  const [{ now }] = (await testbed.ask<{ now: string }>('SELECT now()::text AS now')) as [
    { now: string },
  ];
  for (;;) {
    const [row] = await testbed.ask<{ jobs: number }>(
      'SELECT count(*)::int AS jobs FROM jobs.reports WHERE reported_at > $1::timestamptz',
      [now],
    );
    const healthy = await Promise.all(testbed.urls.map((url) => isHealthy(url)));
    const tookMs = performance.now() - started;
    if (
      (row?.jobs === 2 && healthy.every(Boolean)) ||
      tookMs > JOBS_BACK_WITHIN_MS + testbed.slackMs
    ) {
      return tookMs;
    }
    await pause(200);
  }
}

const isHealthy = (url: string): Promise<boolean> =>
  fetch(`${url}/health`, { signal: AbortSignal.timeout(3_000) }).then(
    ({ ok }) => ok,
    () => false,
  );
