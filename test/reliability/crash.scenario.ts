/** Processes that are killed at each step in turn, and at random moments. */
import { setTimeout as pause } from 'node:timers/promises';
import type { RunningServer } from '../support/server';
import { type Clients, intentOf, type IntendedRequest } from './clients';
import { Load } from './load';
import {
  inTestbed,
  type Report,
  type Run,
  type Scenario,
  together,
  type ScenarioResult,
} from './scenario';
import type { AcquirerOptions, Finding, Testbed } from './testbed';

/** The fail points of a phased and of an atomic operation. */
const PHASED_POINTS = ['after_claim', 'after_remote', 'before_finish', 'after_finish'] as const;
const ATOMIC_POINTS = ['after_claim', 'before_finish', 'after_finish'] as const;

/** The request that the failing process is sent. Other servers make what it needs beforehand. */
const OPERATIONS = {
  payment: async (clients: Clients) => clients.payment(),
  capture: (clients: Clients) => afterwards(clients, clients.authorisation(), 'capture'),
  cancellation: (clients: Clients) => afterwards(clients, clients.authorisation(), 'cancellation'),
  refund: (clients: Clients) => afterwards(clients, clients.payment(), 'refund'),
  customer: async (clients: Clients) => clients.customer(),
};

interface Case {
  readonly operation: keyof typeof OPERATIONS;
  readonly point: (typeof PHASED_POINTS)[number];
  readonly retries: boolean;
}

/** No jobs and no recovery, so that the process reaches the fail point only by the request. */
const IDLE = { JOBS: 'off', IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0' };

export const failPoints: Scenario = {
  name: 'failpoints',
  about:
    'the process kills itself at each step of a payment, a capture, a cancellation, a refund and a ' +
    'customer; the client retries or is gone',
  run: (run) => inTestbed(run, {}, (testbed) => everyStep(testbed, run)),
};

async function everyStep(testbed: Testbed, { bug, say }: Run): Promise<ScenarioResult> {
  const cases = everyCase().filter(({ point, retries }) => {
    // With a planted bug, only the step that shows it.
    if (bug === undefined) return true;
    return (
      retries && point === (bug === 'remote_key_per_attempt' ? 'after_remote' : 'before_finish')
    );
  });
  const ends: Promise<Finding[]>[] = [];
  const waiting = cases.values(); // shared: each lane takes the next
  const lane = async () => {
    for (const one of waiting) {
      const { operation, point } = one;
      const kind = operation === 'customer' ? 'atomic' : 'phased';
      const intended = await OPERATIONS[operation](testbed.clients);
      const failure = { ...IDLE, FAILPOINT: point, FAILPOINT_KIND: kind };
      const server = await testbed.startFailingServer(failure);
      // Its client may have to wait for a lease; the next process starts meanwhile.
      ends.push(die(testbed, server, intended, one));
      if (ends.length % 10 === 0) say(`${ends.length} of ${cases.length} processes`);
    }
  };
  await Promise.all([lane(), lane()]);
  return { faults: cases.length, findings: (await Promise.all(ends)).flat() };
}

function everyCase(): Case[] {
  const operations = Object.keys(OPERATIONS) as Case['operation'][];
  return operations.flatMap((operation) =>
    (operation === 'customer' ? ATOMIC_POINTS : PHASED_POINTS).flatMap((point) =>
      [true, false].map((retries) => ({ operation, point, retries })),
    ),
  );
}

/** Makes a payment, and returns a request that changes it. */
async function afterwards(
  clients: Clients,
  payment: IntendedRequest,
  change: 'capture' | 'cancellation' | 'refund',
): Promise<IntendedRequest> {
  const intent = intentOf(await clients.retryUntilFinal(payment));
  if (intent === undefined) throw new Error(`There is no payment for a ${change}.`);
  return clients[change](payment, intent);
}

async function die(
  testbed: Testbed,
  server: RunningServer,
  intended: IntendedRequest,
  { operation, point, retries }: Case,
): Promise<Finding[]> {
  const { failure } = await testbed.clients.once(intended, server.url, { requestMs: 60_000 });
  const end = await Promise.race([server.program.ended, pause(30_000)]);
  const patience = { allMs: testbed.patienceMs, headers: { prefer: 'wait=10' } };
  if (retries) await testbed.clients.retryUntilFinal(intended, patience);
  if (failure !== undefined && end?.signal === 'SIGKILL') return [];
  return [{ rule: 'fault', what: `the process did not die: ${point} of a ${operation}` }];
}

/** One round of kills, in a testbed of its own. */
interface Round {
  readonly name: string;
  readonly acquirer: AcquirerOptions;
  /** Between two kills, ms. */
  readonly pauseMs: readonly [number, number];
  /** The round ends after at least this many kills and keys. */
  readonly kills: number;
  readonly keys: number;
}

/** Every fifth kill is one of the acquirer. */
const ACQUIRER_EVERY = 5;
const LOSING = { loseReplyRate: 0.02 };
const ROUGH = {
  acquirer: { latencyMs: 0, latencyMaxMs: 2_000, ...LOSING },
  pauseMs: [1_000, 3_000],
  kills: 20,
  keys: 0,
} as const;
/** A quick acquirer and rare kills: for many keys. */
const MANY = {
  acquirer: { latencyMs: 0, latencyMaxMs: 5, ...LOSING },
  pauseMs: [10_000, 15_000],
  kills: 1,
  keys: 10_000,
} as const;

export const kills: Scenario = {
  name: 'kills',
  about:
    'kill -9 of two API processes and a worker at random, every fifth time of the acquirer, under 32 ' +
    'clients; the acquirer takes 0 to 2 s and loses 2 % of its replies',
  run: async (run) => {
    const rounds: Round[] = run.long
      ? [
          ...Array.from({ length: 25 }, (_, at) => ({ name: `round ${at + 1} of 25, `, ...ROUGH })),
          ...Array.from({ length: 10 }, (_, at) => ({ name: `crowd ${at + 1} of 10, `, ...MANY })),
        ]
      : [{ name: '', ...ROUGH, ...(run.bug && { kills: 3 }) }];
    const reports: Report[] = [];
    for (const round of rounds) {
      const options = { acquirer: round.acquirer, remoteDeadlineMs: 2_500 };
      reports.push(await inTestbed(run, options, (testbed) => killAround(testbed, run, round)));
    }
    return together(reports);
  },
};

async function killAround(
  testbed: Testbed,
  { bug, chance, say }: Run,
  round: Round,
): Promise<ScenarioResult> {
  await testbed.startServer();
  await testbed.startWorker();
  const load = new Load(testbed.clients, chance.fork(), { clients: 32, allMs: 120_000 });
  const starting: Promise<unknown>[] = [];
  let killed = 0;
  while (killed < round.kills || testbed.clients.count < round.keys) {
    await pause(chance.between(...round.pauseMs));
    const running = [...testbed.servers, ...testbed.workers];
    if (bug === 'ledger_lags' || killed % ACQUIRER_EVERY === ACQUIRER_EVERY - 1) {
      await testbed.startAcquirer(round.acquirer); // kills the one that runs; the ledger stays
    } else if (running.length > 0) {
      const victim = chance.pick(running);
      await victim.kill9();
      starting.push('url' in victim ? testbed.startServer() : testbed.startWorker());
    } else {
      continue; // all of them are starting
    }
    killed += 1;
    say(`${round.name}${killed} kills, ${testbed.clients.count} keys`);
  }
  await Promise.all(starting);
  await testbed.startAcquirer(); // quick and reliable again
  testbed.calm();
  await load.stop();
  return { faults: killed };
}
