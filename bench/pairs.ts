/** Pairs of endpoints under the same load, in turns: A B A B …, so that the machine's moods hit both. */
import { type Extent, median, perSecond, ratioOf, type Row } from './figures';
import type { Stretch } from './load';
import type { Stage } from './stage';

interface Pair {
  readonly case: string;
  readonly against: string;
  readonly ours: string;
  readonly plain: string;
  /** Replays send keys that have a response, all else a new one each time. */
  readonly replay?: boolean;
  readonly goal: number;
  /** Of the whole application: which tiers replay. */
  readonly tiers?: Readonly<Record<string, string>>;
}

const PAIRS: readonly Pair[] = [
  {
    case: 'atomic, one INSERT by a repository, new key',
    against: 'the same handler, autocommit',
    ours: 'ours/insert',
    plain: 'plain/insert',
    goal: 0.6,
  },
  {
    case: 'atomic, one INSERT by a named statement, new key',
    against: 'the same handler, autocommit',
    ours: 'ours/named',
    plain: 'plain/named',
    goal: 0.6,
  },
  {
    case: 'atomic, four INSERTs, new key',
    against: "the same in TypeORM's transaction",
    ours: 'ours/four',
    plain: 'plain/four',
    goal: 0.75,
  },
  {
    case: 'replay, memory',
    against: 'a pass-through interceptor, the same bytes',
    ours: 'ours/named',
    plain: 'plain/nothing',
    replay: true,
    goal: 0.9,
  },
  {
    case: 'replay, Redis',
    against: 'one GET',
    ours: 'ours/named',
    plain: 'plain/redis',
    replay: true,
    goal: 0.9,
    tiers: { REPLAY_MEMORY_BYTES: '0', REPLAY_REDIS: 'on' },
  },
  {
    case: 'replay, PostgreSQL',
    against: 'one SELECT by primary key, a named statement',
    ours: 'ours/named',
    plain: 'plain/select',
    replay: true,
    goal: 0.9,
    tiers: { REPLAY_MEMORY_BYTES: '0' },
  },
];

export const BODY = JSON.stringify({ amount: 2000 });
export const CONNECTIONS = 32;
/** Replays are of any of so many keys: copies of one would share their looks. */
export const REPLAYED = 1_000;

export async function measurePairs(stage: Stage, extent: Extent): Promise<Row[]> {
  const rows: Row[] = [];
  for (const pair of PAIRS) {
    if (pair.tiers?.['REPLAY_REDIS'] && stage.redisUrl === undefined) {
      extent.say(`${pair.case}: skipped, there is no redis-server on the PATH`);
      continue;
    }
    rows.push(await measurePair(stage, extent, pair));
  }
  return rows;
}

async function measurePair(stage: Stage, extent: Extent, pair: Pair): Promise<Row> {
  const served = await stage.start(pair.tiers);
  const stretch = (path: string, seconds: number): Stretch => ({
    url: `${served.url}/${path}`,
    body: BODY,
    connections: CONNECTIONS,
    seconds,
    key: pair.replay ? { from: 0, to: REPLAYED } : 'new',
  });
  if (pair.replay) {
    await stage.send({ ...stretch(pair.ours, 0), key: { from: 0 }, amount: REPLAYED });
  }
  if (!extent.quick) for (const path of [pair.ours, pair.plain]) await stage.send(stretch(path, 3));
  const ours: number[] = [];
  const plain: number[] = [];
  for (let round = 0; round < extent.rounds; round += 1) {
    ours.push((await stage.send(stretch(pair.ours, extent.seconds))).rate);
    plain.push((await stage.send(stretch(pair.plain, extent.seconds))).rate);
  }
  await served.stop();
  const ratio = ratioOf(ours, plain);
  extent.say(`${pair.case}: ${ratio.median.toFixed(2)} of ${pair.against}`);
  return {
    case: pair.case,
    against: pair.against,
    ours: perSecond(median(ours)),
    theirs: perSecond(median(plain)),
    ratio,
    goal: `≥ ${pair.goal}`,
    reached: ratio.median >= pair.goal,
  };
}
