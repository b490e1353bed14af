/**
 * What people write where they have no library for it, against `@Idempotent()` on the same handler: a key in
 * the transaction of the handler's write, and a key in Redis around it. Both keep the response's JSON alone.
 */
import { type Extent, median, perSecond, ratioOf, type Row } from './figures';
import type { Stretch } from './load';
import { BODY, CONNECTIONS, REPLAYED } from './pairs';
import type { Stage } from './stage';

const OURS = 'ours/named';
const OTHERS: Readonly<Record<string, string>> = {
  'textbook/transaction': "a key in TypeORM's transaction",
  'textbook/redis': 'SET NX on Redis, not crash-safe',
};

export async function measureTextbook(stage: Stage, extent: Extent): Promise<Row[]> {
  const others = Object.keys(OTHERS).filter(
    (path) => stage.redisUrl !== undefined || path !== 'textbook/redis',
  );
  const served = await stage.start();
  const rows: Row[] = [];
  for (const replay of [false, true]) {
    const send = async (path: string, seconds: number, more: Partial<Stretch> = {}) => {
      const key = replay ? { from: 0, to: REPLAYED } : 'new';
      const url = `${served.url}/${path}`;
      const stretch = { url, body: BODY, connections: CONNECTIONS, seconds, key, ...more } as const;
      return (await stage.send(stretch)).rate;
    };
    const paths = [OURS, ...others];
    for (const path of paths) {
      if (replay) await send(path, 0, { key: { from: 0 }, amount: REPLAYED });
      if (!extent.quick) await send(path, 3);
    }
    const rates = new Map<string, number[]>(paths.map((path) => [path, []]));
    for (let round = 0; round < extent.rounds; round += 1) {
      for (const path of paths) rates.get(path)?.push(await send(path, extent.seconds));
    }
    const ours = rates.get(OURS) ?? [];
    for (const path of others) {
      const theirs = rates.get(path) ?? [];
      const ratio = ratioOf(ours, theirs);
      const what = replay ? 'replay' : 'first request';
      extent.say(`${what}: ${ratio.median.toFixed(2)} of ${OTHERS[path]}`);
      rows.push({
        case: `${what}, of ${OTHERS[path]}`,
        against: 'the same, and one INSERT by a named statement',
        ours: perSecond(median(ours)),
        theirs: perSecond(median(theirs)),
        ratio,
        goal: '≥ 1',
        reached: ratio.median >= 1,
      });
    }
  }
  await served.stop();
  return rows;
}
