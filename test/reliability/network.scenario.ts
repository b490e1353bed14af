/** What networks do, between a server and PostgreSQL, and between a server and the acquirer. */
import { setTimeout as pause } from 'node:timers/promises';
import { TcpProxy } from '../support/tcp-proxy';
import { AnswerWatch, servedAgain } from './answer-watch';
import type { Sent } from './clients';
import { Load } from './load';
import { inWorld, type Run, type Scenario, type Told } from './scenario';
import type { Finding, World } from './world';

type Fault = 'delay' | 'drip' | 'black hole' | 'reset';

const CONNECT_TIMEOUT_MS = 1_000;
const IDLE_TRANSACTION_MS = 1_000;
/** How long a server waits for the answer to a statement, ms. */
const STATEMENT_PATIENCE_MS = IDLE_TRANSACTION_MS + 5_000;
/** How long it looks into a COMMIT that was not answered, ms. */
const SETTLE_PATIENCE_MS = 5_000;
/** Longer than all of these together. */
const BLACK_HOLE_MS = 15_000;
/** Longer than recovery would wait, were its pauses doubled for ever. */
const OUTAGE_MS = 25_000;
/** From the end of a fault to the first request that is served. */
const BACK_WITHIN_MS = 5_000;
/** What a request may take beyond its deadline. */
const GRACE_MS = 1_000;

export const network: Scenario = {
  name: 'network',
  about:
    'a TCP proxy delays, drips, swallows and resets what goes to PostgreSQL and to the acquirer, under ' +
    '8 clients',
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

async function disturb(world: World, { chance, long, say }: Run): Promise<Told> {
  const proxies = {
    PostgreSQL: await TcpProxy.to(world.databaseUrl),
    acquirer: await TcpProxy.to(world.acquirerUrl),
  };
  world.onClose(() => Promise.all(Object.values(proxies).map((proxy) => proxy.close())));
  await world.replaceServers({
    databaseUrl: proxies.PostgreSQL.url,
    acquirerUrl: proxies.acquirer.url,
  });
  const watch = new AnswerWatch();
  const slow = new SlowRequests(requestBound(world));
  world.clients.onSent = (sent) => {
    watch.see(sent);
    slow.see(sent);
  };
  const load = new Load(world.clients, chance.fork(), { clients: 8, allMs: 60_000 });
  const late: Finding[] = [];
  let faults = 0;
  let slowestMs = 0;
  for (let round = 0; round < (long ? 10 : 1); round += 1) {
    for (const [name, proxy] of Object.entries(proxies)) {
      for (const fault of ['delay', 'drip', 'reset', 'black hole'] as const) {
        await pause(chance.between(300, 800));
        const outage = name === 'acquirer' && fault === 'black hole';
        // Nobody asks again for these: they are left to recovery.
        if (outage) void pause(500).then(() => leaveTen(world));
        await inject(fault, proxy, outage ? OUTAGE_MS : BLACK_HOLE_MS);
        const healedMs = performance.now();
        const tookMs = (await servedAgain(world)) - healedMs;
        slowestMs = Math.max(slowestMs, tookMs);
        faults += 1;
        const what = `${fault} towards ${name}, back after ${Math.round(tookMs)} ms`;
        say(what);
        if (tookMs > BACK_WITHIN_MS) late.push({ rule: 'recovery', what });
      }
    }
  }
  world.calm();
  await load.stop();
  const notes = [slow.told, `back at most ${Math.round(slowestMs)} ms after the fault`, watch.told];
  return { faults, findings: [...late, ...slow.findings, ...watch.findings], notes };
}

/** Requests that take longer than all they may wait for. */
class SlowRequests {
  readonly findings: Finding[] = [];
  #slowestMs = 0;

  constructor(private readonly boundMs: number) {}

  get told(): string {
    return `slowest request ${Math.round(this.#slowestMs)} ms of ${this.boundMs} allowed`;
  }

  see({ tookMs }: Sent): void {
    this.#slowestMs = Math.max(this.#slowestMs, tookMs);
    if (tookMs <= this.boundMs) return;
    this.findings.push({ rule: 'deadline', what: `a request took ${Math.round(tookMs)} ms` });
  }
}

/**
 * The longest a request may take, ms: each thing it waits for gives up in time, and it waits for no
 * other afterwards but the way to say so.
 */
function requestBound({ remoteDeadlineMs }: World): number {
  const database = CONNECT_TIMEOUT_MS + STATEMENT_PATIENCE_MS + SETTLE_PATIENCE_MS;
  return remoteDeadlineMs + database + GRACE_MS;
}

/** Ten clients that take what they are told, and never ask again. */
async function leaveTen({ clients, urls: [server = ''] }: World): Promise<void> {
  await Promise.all(Array.from({ length: 10 }, () => clients.once(clients.payment(), server)));
}

async function inject(fault: Fault, proxy: TcpProxy, holeMs: number): Promise<void> {
  if (fault === 'reset') {
    for (let times = 0; times < 5; times += 1) {
      proxy.reset();
      await pause(200);
    }
    return;
  }
  if (fault === 'delay') proxy.delayMs = 200;
  if (fault === 'drip') proxy.dripMs = 2;
  if (fault === 'black hole') proxy.blackHole();
  await pause(fault === 'black hole' ? holeMs : 2_000);
  proxy.heal();
}
