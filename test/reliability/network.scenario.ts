/** Network faults between a server and PostgreSQL, and between a server and the acquirer. */
import { setTimeout as pause } from 'node:timers/promises';
import { TcpProxy } from '../support/tcp-proxy';
import { ResponseWatch, servedAgain } from './response-watch';
import { Load } from './load';
import { inject, NETWORK_FAULTS, type NetworkFault } from './network-faults';
import { inTestbed, type Run, type Scenario, type ScenarioResult } from './scenario';
import type { Finding, Testbed } from './testbed';

const CONNECT_TIMEOUT_MS = 1_000;
const IDLE_TRANSACTION_MS = 1_000;
/** How long a server waits for the result of a statement, ms. */
const STATEMENT_PATIENCE_MS = IDLE_TRANSACTION_MS + 5_000;
/** How long it takes to resolve a COMMIT in doubt, ms. */
const IN_DOUBT_PATIENCE_MS = 5_000;
/** Longer than all of these together, ms. */
const BLACK_HOLE_MS = 15_000;
/**
 * Long enough, ms, for recovery to try a key many times: if its pauses doubled without a limit, the next try would
 * come far too late.
 */
const LONG_OUTAGE_MS = 60_000;
/** From the end of a fault to the first request that is served, ms. */
const BACK_WITHIN_MS = 5_000;
/** How much longer than its waits a request may take, ms. */
const GRACE_MS = 1_000;

export const network: Scenario = {
  name: 'network',
  about:
    'a TCP proxy delays, drips, resets, swallows and leaves half open what goes to PostgreSQL and to ' +
    'the acquirer, under 8 clients',
  run: (run) =>
    inTestbed(
      run,
      {
        acquirer: { latencyMs: 0, latencyMaxMs: 100 },
        env: {
          DATABASE_CONNECT_TIMEOUT_MS: String(CONNECT_TIMEOUT_MS),
          IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: String(IDLE_TRANSACTION_MS),
        },
      },
      (testbed) => disturb(testbed, run),
    ),
};

async function disturb(testbed: Testbed, { bug, chance, long, say }: Run): Promise<ScenarioResult> {
  const proxies = {
    PostgreSQL: await TcpProxy.to(testbed.databaseUrl),
    acquirer: await TcpProxy.to(testbed.acquirerUrl),
  };
  testbed.onClose(() => Promise.all(Object.values(proxies).map((proxy) => proxy.close())));
  await testbed.replaceServers({
    databaseUrl: proxies.PostgreSQL.url,
    acquirerUrl: proxies.acquirer.url,
  });
  const watch = new ResponseWatch(requestBound(testbed));
  testbed.clients.onSent = (sent) => watch.see(sent);
  // With a planted bug, clients that would wait for ever give up soon after the bound.
  const patienceMs = bug ? requestBound(testbed) + 500 : 30_000;
  const patience = { requestMs: patienceMs, allMs: bug ? patienceMs : 2 * LONG_OUTAGE_MS };
  const load = new Load(testbed.clients, chance.fork(), { clients: 8, ...patience });
  const late: Finding[] = [];
  let faults = 0;
  let slowestMs = 0;
  // With a planted bug, only the fault that nothing else ends.
  const faultsTowards = (name: string): readonly NetworkFault[] =>
    bug === undefined ? NETWORK_FAULTS : name === 'PostgreSQL' ? ['half-open'] : [];
  for (let round = 0; round < (long ? 10 : 1); round += 1) {
    for (const [name, proxy] of Object.entries(proxies)) {
      for (const fault of faultsTowards(name)) {
        await pause(chance.between(300, 800));
        const outage = name === 'acquirer' && fault === 'black hole';
        // No client retries these: recovery must finish them.
        if (outage) void pause(500).then(() => leaveTen(testbed));
        await inject(fault, proxy, outage && long ? LONG_OUTAGE_MS : BLACK_HOLE_MS);
        const healedMs = performance.now();
        const tookMs = (await servedAgain(testbed, patienceMs)) - healedMs;
        slowestMs = Math.max(slowestMs, tookMs);
        faults += 1;
        const what = `${fault} towards ${name}, back after ${Math.round(tookMs)} ms`;
        say(what);
        if (tookMs > BACK_WITHIN_MS + testbed.slackMs) late.push({ rule: 'recovery', what });
      }
    }
  }
  testbed.calm();
  await load.stop();
  const back = `back at most ${Math.round(slowestMs)} ms after the fault`;
  return { faults, findings: [...late, ...watch.findings], notes: [back, ...watch.notes] };
}

/**
 * The longest time a request may take, ms: each of its waits is bounded, and after one of them times out only the
 * response is left to send.
 */
function requestBound({ remoteDeadlineMs, slackMs }: Testbed): number {
  const database = CONNECT_TIMEOUT_MS + STATEMENT_PATIENCE_MS + IN_DOUBT_PATIENCE_MS;
  return remoteDeadlineMs + database + GRACE_MS + slackMs;
}

/** Sends ten payments that no client retries. */
async function leaveTen({ clients, urls: [server = ''] }: Testbed): Promise<void> {
  await Promise.all(Array.from({ length: 10 }, () => clients.once(clients.payment(), server)));
}
