/** What networks do, between a server and PostgreSQL, and between a server and the acquirer. */
import { setTimeout as pause } from 'node:timers/promises';
import { TcpProxy } from '../support/tcp-proxy';
import { AnswerWatch, servedAgain } from './answer-watch';
import { Load } from './load';
import { inject, NETWORK_FAULTS, type NetworkFault } from './network-faults';
import { inWorld, type Run, type Scenario, type Told } from './scenario';
import type { Finding, World } from './world';

const CONNECT_TIMEOUT_MS = 1_000;
const IDLE_TRANSACTION_MS = 1_000;
/** How long a server waits for the answer to a statement, ms. */
const STATEMENT_PATIENCE_MS = IDLE_TRANSACTION_MS + 5_000;
/** How long it looks into a COMMIT that was not answered, ms. */
const SETTLE_PATIENCE_MS = 5_000;
/** Longer than all of these together. */
const BLACK_HOLE_MS = 15_000;
/**
 * So long that what recovery must finish afterwards has been tried many times: with pauses that double
 * for ever the next try would come far too late.
 */
const LONG_OUTAGE_MS = 60_000;
/** From the end of a fault to the first request that is served. */
const BACK_WITHIN_MS = 5_000;
/** What a request may take beyond its deadline. */
const GRACE_MS = 1_000;

export const network: Scenario = {
  name: 'network',
  about:
    'a TCP proxy delays, drips, resets, swallows and leaves half open what goes to PostgreSQL and to ' +
    'the acquirer, under 8 clients',
  run: (run) =>
    inWorld(
      run,
      {
        acquirer: { latencyMs: 0, latencyMaxMs: 100 },
        env: {
          DATABASE_CONNECT_TIMEOUT_MS: String(CONNECT_TIMEOUT_MS),
          IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: String(IDLE_TRANSACTION_MS),
        },
      },
      (world) => disturb(world, run),
    ),
};

async function disturb(world: World, { bug, chance, long, say }: Run): Promise<Told> {
  const proxies = {
    PostgreSQL: await TcpProxy.to(world.databaseUrl),
    acquirer: await TcpProxy.to(world.acquirerUrl),
  };
  world.onClose(() => Promise.all(Object.values(proxies).map((proxy) => proxy.close())));
  await world.replaceServers({
    databaseUrl: proxies.PostgreSQL.url,
    acquirerUrl: proxies.acquirer.url,
  });
  const watch = new AnswerWatch(requestBound(world));
  world.clients.onSent = (sent) => watch.see(sent);
  // With a bug planted, clients that would wait for ever give up soon after the bound.
  const patienceMs = bug ? requestBound(world) + 500 : 30_000;
  const patience = { requestMs: patienceMs, allMs: bug ? patienceMs : 2 * LONG_OUTAGE_MS };
  const load = new Load(world.clients, chance.fork(), { clients: 8, ...patience });
  const late: Finding[] = [];
  let faults = 0;
  let slowestMs = 0;
  // With a bug planted, the fault alone that nothing else ends.
  const faultsTowards = (name: string): readonly NetworkFault[] =>
    bug === undefined ? NETWORK_FAULTS : name === 'PostgreSQL' ? ['half-open'] : [];
  for (let round = 0; round < (long ? 10 : 1); round += 1) {
    for (const [name, proxy] of Object.entries(proxies)) {
      for (const fault of faultsTowards(name)) {
        await pause(chance.between(300, 800));
        const outage = name === 'acquirer' && fault === 'black hole';
        // Nobody asks again for these: they are left to recovery.
        if (outage) void pause(500).then(() => leaveTen(world));
        await inject(fault, proxy, outage && long ? LONG_OUTAGE_MS : BLACK_HOLE_MS);
        const healedMs = performance.now();
        const tookMs = (await servedAgain(world, patienceMs)) - healedMs;
        slowestMs = Math.max(slowestMs, tookMs);
        faults += 1;
        const what = `${fault} towards ${name}, back after ${Math.round(tookMs)} ms`;
        say(what);
        if (tookMs > BACK_WITHIN_MS + world.slackMs) late.push({ rule: 'recovery', what });
      }
    }
  }
  world.calm();
  await load.stop();
  const back = `back at most ${Math.round(slowestMs)} ms after the fault`;
  return { faults, findings: [...late, ...watch.findings], notes: [back, ...watch.told] };
}

/**
 * The longest a request may take, ms: each thing it waits for gives up in time, and it waits for no
 * other afterwards but the way to say so.
 */
function requestBound({ remoteDeadlineMs, slackMs }: World): number {
  const database = CONNECT_TIMEOUT_MS + STATEMENT_PATIENCE_MS + SETTLE_PATIENCE_MS;
  return remoteDeadlineMs + database + GRACE_MS + slackMs;
}

/** Ten clients that take what they are told, and never ask again. */
async function leaveTen({ clients, urls: [server = ''] }: World): Promise<void> {
  await Promise.all(Array.from({ length: 10 }, () => clients.once(clients.payment(), server)));
}
