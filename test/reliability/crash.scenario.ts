/** Processes that end at the worst moment: at each step in turn, and at random. */
import { setTimeout as pause } from 'node:timers/promises';
import type { RunningServer } from '../support/server';
import type { Wish } from './clients';
import { Load } from './load';
import { inWorld, type Report, type Run, type Scenario, together, type Told } from './scenario';
import type { AcquirerOptions, Finding, World } from './world';

/** Where a process can be told to kill itself, and which kind of operation passes there. */
const STEPS = [
  { point: 'after_claim', phased: true },
  { point: 'after_remote', phased: true },
  { point: 'before_finish', phased: true },
  { point: 'after_finish', phased: true },
  { point: 'after_claim', phased: false },
  { point: 'before_finish', phased: false },
  { point: 'after_finish', phased: false },
] as const;

interface Doomed {
  readonly name: string;
  readonly server: RunningServer;
  readonly wish: Wish;
  readonly retries: boolean;
}

export const failPoints: Scenario = {
  name: 'failpoints',
  about: 'the process kills itself at each step; the client retries or is gone; atomic and phased',
  run: (run) => inWorld(run, {}, (world) => everyStep(world, run)),
};

async function everyStep(world: World, run: Run): Promise<Told> {
  const cases = STEPS.flatMap((step) => [
    { ...step, retries: true },
    { ...step, retries: false },
  ]);
  const doomed: Doomed[] = [];
  // Two at a time: more would only wait for each other. All are there before the first one dies, so
  // that none of them meets, in its recovery, what another has left.
  for (let at = 0; at < cases.length; at += 2) {
    const pair = cases.slice(at, at + 2).map(async ({ point, phased, retries }) => ({
      name: `${point}, ${phased ? 'phased' : 'atomic'}, client ${retries ? 'retries' : 'gone'}`,
      server: await world.startDoomed({
        FAILPOINT: point,
        FAILPOINT_KIND: phased ? 'phased' : 'atomic',
      }),
      wish: phased ? world.clients.payment() : world.clients.customer(),
      retries,
    }));
    doomed.push(...(await Promise.all(pair)));
    run.say(`${doomed.length} of ${cases.length} processes wait for their end`);
  }
  const findings = (await Promise.all(doomed.map((one) => die(world, one)))).flat();
  return { faults: doomed.length, findings };
}

async function die(world: World, { name, server, wish, retries }: Doomed): Promise<Finding[]> {
  const { failure } = await world.clients.once(wish, server.url, { requestMs: 10_000 });
  const end = await Promise.race([server.program.ended, pause(1_000)]);
  if (retries) await world.clients.insist(wish, { allMs: 20_000, headers: { prefer: 'wait=10' } });
  if (failure !== undefined && end?.signal === 'SIGKILL') return [];
  return [{ rule: 'fault', what: `the process did not die: ${name}` }];
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
    'kill -9 of two API processes and a worker at random, under 32 clients; the acquirer takes 0 to ' +
    '2 s and loses 2 % of its replies',
  run: async (run) => {
    const rounds: Round[] = run.long
      ? [
          ...Array.from({ length: 25 }, (_, at) => ({ name: `round ${at + 1} of 25, `, ...ROUGH })),
          ...Array.from({ length: 10 }, (_, at) => ({ name: `crowd ${at + 1} of 10, `, ...MANY })),
        ]
      : [{ name: '', ...ROUGH }];
    const reports: Report[] = [];
    for (const round of rounds) {
      const options = { acquirer: round.acquirer, remoteDeadlineMs: 2_500 };
      reports.push(await inWorld(run, options, (world) => killAround(world, run, round)));
    }
    return together(reports);
  },
};

async function killAround(world: World, { chance, say }: Run, round: Round): Promise<Told> {
  await world.startServer();
  await world.startWorker();
  const load = new Load(world.clients, chance.fork(), { clients: 32, allMs: 120_000 });
  const starting: Promise<unknown>[] = [];
  let killed = 0;
  while (killed < round.kills || world.clients.count < round.keys) {
    await pause(chance.between(...round.pauseMs));
    const running = [...world.servers, ...world.workers];
    if (running.length === 0) continue; // all of them are only just starting
    const victim = chance.pick(running);
    await victim.kill9();
    killed += 1;
    starting.push('url' in victim ? world.startServer() : world.startWorker());
    say(`${round.name}${killed} kills, ${world.clients.count} keys`);
  }
  await Promise.all(starting);
  await world.startAcquirer(); // quick and reliable again
  world.calm();
  await load.stop();
  return { faults: killed };
}
