/**
 * What the module costs an application: CPU of the server for a request, against the same application without the
 * module in a process of its own. A process in which a key has run is slower for every route on Node 20 and 22, so a
 * comparison inside one process would flatter.
 */
import { once } from 'node:events';
import type { Room } from './clean-room-server';
import { type Extent, median, ratioOf, type Row } from './figures';
import type { Served, Stage } from './stage';

const CONNECTIONS = 8;
/** Of each process, in a round of a case. */
const TURNS = 8;
const REQUESTS = 16_000;
const KEY = { one: 'clean-room' };

/** In the order of a round: the first key of a process changes what comes after it. */
const CASES = [
  {
    case: 'undecorated route, before the first key',
    against: 'without the module',
    path: '/nothing',
    room: 'clean',
    goal: 1.03,
  },
  {
    case: 'undecorated route, after keys',
    against: 'without the module, after one AsyncLocalStorage.run()',
    path: '/nothing',
    room: 'context',
    afterKeys: true,
    goal: 1.03,
  },
  {
    case: 'replay from memory, CPU',
    against: 'without the module, the same bytes and headers',
    path: '/replayed',
    room: 'clean',
    afterKeys: true,
    goal: 1.6,
  },
] as const;

export async function measureCleanRoom(stage: Stage, extent: Extent): Promise<Row[]> {
  const spent = CASES.map(() => ({ ours: [] as number[], theirs: [] as number[] }));
  for (let round = 0; round < extent.rounds; round += 1) {
    // Anew: how V8 happens to compile a process changes every figure of it by some percent.
    const rooms = await openRooms(stage);
    // All of them, so that none is ahead of another when its turn comes.
    for (const room of Object.values(rooms)) await send(stage, room, '/nothing', REQUESTS / 2);
    for (const [at, compared] of CASES.entries()) {
      if ('afterKeys' in compared) await send(stage, rooms.ours, '/replayed', 1);
      const pair = [rooms.ours, rooms[compared.room]] as const;
      const [ours, theirs] = await inTurns(stage, pair, compared.path, { ...extent, round });
      spent[at]?.ours.push(ours);
      spent[at]?.theirs.push(theirs);
      extent.say(`${compared.case}: ${micros(ours)}, ${compared.against} ${micros(theirs)}`);
    }
    await Promise.all(Object.values(rooms).map((room) => room.stop()));
  }
  return CASES.map(({ case: name, against, goal }, at) => {
    const { ours = [], theirs = [] } = spent[at] ?? {};
    const ratio = ratioOf(ours, theirs);
    return {
      case: name,
      against,
      ours: micros(median(ours)),
      theirs: micros(median(theirs)),
      ratio,
      goal: `≤ ${goal}`,
      reached: ratio.median <= goal,
    };
  });
}

async function openRooms(stage: Stage): Promise<Record<Room, Served>> {
  const open = (room: Room) => stage.start({ ROOM: room }, 'clean-room-server.ts');
  const [clean, context, ours] = await Promise.all([open('clean'), open('context'), open('ours')]);
  return { clean, context, ours };
}

/** Short turns: a machine that gets slower meanwhile disturbs both. @returns CPU of each for a request, µs */
async function inTurns(
  stage: Stage,
  pair: readonly [Served, Served],
  path: string,
  { quick, round }: Extent & { readonly round: number },
): Promise<[number, number]> {
  const amount = (quick ? REQUESTS / 20 : REQUESTS) / TURNS;
  for (const served of pair) await send(stage, served, path, amount * TURNS); // to compile
  const spent: [number, number] = [0, 0];
  for (let turn = 0; turn < 2 * TURNS; turn += 1) {
    const which = ((turn + round) % 2) as 0 | 1;
    spent[which] += await send(stage, pair[which], path, amount);
  }
  return [spent[0] / (amount * TURNS), spent[1] / (amount * TURNS)];
}

/** @returns the CPU that the server used meanwhile, µs */
async function send(stage: Stage, served: Served, path: string, amount: number): Promise<number> {
  const before = await cpuOf(served);
  const connections = Math.min(CONNECTIONS, amount);
  await stage.send({
    url: served.url + path,
    body: '{"amount":2000}',
    key: KEY,
    connections,
    amount,
  });
  return (await cpuOf(served)) - before;
}

async function cpuOf({ process: child }: Served): Promise<number> {
  const reply = once(child, 'message') as Promise<[number]>;
  child.send('cpu');
  return (await reply)[0];
}

const micros = (µs: number): string => `${µs.toFixed(1)} µs`;
