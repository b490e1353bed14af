/** Processes that end at the worst moment: at each step in turn, and at random. */
import { setTimeout as pause } from 'node:timers/promises';
import type { RunningServer } from '../support/server';
import { type Clients, intentOf, type Wish } from './clients';
import { Load } from './load';
import { inWorld, type Report, type Run, type Scenario, together, type Told } from './scenario';
import type { AcquirerOptions, Finding, World } from './world';

/** Where a process can be told to kill itself, on the way of a phased and of an atomic operation. */
const PHASED_POINTS = ['after_claim', 'after_remote', 'before_finish', 'after_finish'] as const;
const ATOMIC_POINTS = ['after_claim', 'before_finish', 'after_finish'] as const;

/** What the process is asked for; what must be there before is done by others. */
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

/** It does nothing that it is not asked for, so that it dies of nothing else. */
const IDLE = { JOBS: 'off', IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0' };

export const failPoints: Scenario = {
  name: 'failpoints',
  about:
    'the process kills itself at each step of a payment, a capture, a cancellation, a refund and a ' +
    'customer; the client retries or is gone',
  run: (run) => inWorld(run, {}, (world) => everyStep(world, run)),
};

async function everyStep(world: World, { bug, say }: Run): Promise<Told> {
  const cases = everyCase().filter(({ point, retries }) => {
    // With a bug planted, the step alone that brings it out.
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
      const wish = await OPERATIONS[operation](world.clients);
      const failure = { ...IDLE, FAILPOINT: point, FAILPOINT_KIND: kind };
      const server = await world.startDoomed(failure);
      // Its client may have to wait for a lease; the next process starts meanwhile.
      ends.push(die(world, server, wish, one));
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

/** What changes a payment, once that is made. */
async function afterwards(
  clients: Clients,
  payment: Wish,
  change: 'capture' | 'cancellation' | 'refund',
): Promise<Wish> {
  const intent = intentOf(await clients.insist(payment));
  if (intent === undefined) throw new Error(`There is no payment for a ${change}.`);
  return clients[change](payment, intent);
}

async function die(
  world: World,
  server: RunningServer,
  wish: Wish,
  { operation, point, retries }: Case,
): Promise<Finding[]> {
  const { failure } = await world.clients.once(wish, server.url, { requestMs: 60_000 });
  const end = await Promise.race([server.program.ended, pause(30_000)]);
  const patience = { allMs: world.patienceMs, headers: { prefer: 'wait=10' } };
  if (retries) await world.clients.insist(wish, patience);
  if (failure !== undefined && end?.signal === 'SIGKILL') return [];
  return [{ rule: 'fault', what: `the process did not die: ${point} of a ${operation}` }];
}

/** One round of kills, in a world of its own. */
interface Round {
  readonly name: string;
  readonly acquirer: AcquirerOptions;
  /** Between two kills, ms. */
  readonly pauseMs: readonly [number, number];
  /** It ends after so many kills, and not before it has so many keys. */
  readonly kills: number;
  readonly keys: number;
}

/** So many kills are one of the acquirer. */
const ACQUIRER_EVERY = 5;
const LOSING = { loseReplyRate: 0.02 };
const ROUGH = {
  acquirer: { latencyMs: 0, latencyMaxMs: 2_000, ...LOSING },
  pauseMs: [1_000, 3_000],
  kills: 20,
  keys: 0,
} as const;
/** A quick acquirer and kills far apart: for the number of keys. */
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
      reports.push(await inWorld(run, options, (world) => killAround(world, run, round)));
    }
    return together(reports);
  },
};

async function killAround(world: World, { bug, chance, say }: Run, round: Round): Promise<Told> {
  await world.startServer();
  await world.startWorker();
  const load = new Load(world.clients, chance.fork(), { clients: 32, allMs: 120_000 });
  const starting: Promise<unknown>[] = [];
  let killed = 0;
  while (killed < round.kills || world.clients.count < round.keys) {
    await pause(chance.between(...round.pauseMs));
    const running = [...world.servers, ...world.workers];
    if (bug === 'ledger_lags' || killed % ACQUIRER_EVERY === ACQUIRER_EVERY - 1) {
      await world.startAcquirer(round.acquirer); // in place of the one that runs, with its ledger
    } else if (running.length > 0) {
      const victim = chance.pick(running);
      await victim.kill9();
      starting.push('url' in victim ? world.startServer() : world.startWorker());
    } else {
      continue; // all of them are only just starting
    }
    killed += 1;
    say(`${round.name}${killed} kills, ${world.clients.count} keys`);
  }
  await Promise.all(starting);
  await world.startAcquirer(); // quick and reliable again
  world.calm();
  await load.stop();
  return { faults: killed };
}
