/** Copies of one request at the same moment, while other keys go on. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type Extent, median, ratioOf, type Row } from './figures';
import type { Served, Stage } from './stage';

const COPIES = 64;
/** A crowd comes this often, ms. */
const EVERY_MS = 1_000;
const GOAL = 1.25;

export async function measureContention(stage: Stage, extent: Extent): Promise<Row[]> {
  const served = await stage.start();
  const others = (seconds: number) =>
    stage.send({
      url: `${served.url}/ours/named`,
      body: '{"amount":1}',
      key: 'new',
      connections: 8,
      seconds,
    });
  await others(extent.quick ? 1 : 3);
  const p99: { alone: number[]; crowded: number[] } = { alone: [], crowded: [] };
  let crowds = 0;
  for (let round = 0; round < extent.rounds; round += 1) {
    p99.alone.push((await others(extent.seconds)).p99);
    const stop = new AbortController();
    const crowd = crowdsUntil(stop.signal, served);
    p99.crowded.push((await others(extent.seconds)).p99);
    stop.abort();
    crowds += await crowd;
  }
  const ratio = ratioOf(p99.crowded, p99.alone);
  const [{ effects }] = (
    await stage.sql.query<{ effects: number }>(
      'SELECT count(*)::int AS effects FROM orders WHERE amount = 64',
    )
  ).rows as [{ effects: number }];
  if (effects !== crowds) throw new Error(`${crowds} crowds had ${effects} effects.`);
  extent.say(`${crowds} crowds of ${COPIES}: one effect and one response each`);
  await served.stop();
  return [
    {
      case: `${COPIES} copies of one key at once, every second: p99 of other keys`,
      against: 'p99 without them',
      ours: `${median(p99.crowded)} ms`,
      theirs: `${median(p99.alone)} ms`,
      ratio,
      goal: `≤ ${GOAL}; one effect, all with a response`,
      reached: ratio.median <= GOAL,
    },
  ];
}

/** @returns how many there were; each had one response, for all that wait for it */
async function crowdsUntil(signal: AbortSignal, served: Served): Promise<number> {
  let crowds = 0;
  while (!signal.aborted) {
    const key = randomUUID();
    const responses = await Promise.all(
      Array.from({ length: COPIES }, async () => {
        const res = await fetch(`${served.url}/ours/insert`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'idempotency-key': key,
            prefer: 'wait=30',
          },
          body: `{"amount":${COPIES}}`,
        });
        return `${res.status} ${await res.text()}`;
      }),
    );
    if (new Set(responses).size !== 1 || !responses[0]?.startsWith('201')) {
      throw new Error(
        `Copies of one request got different responses: ${[...new Set(responses)].join()}`,
      );
    }
    crowds += 1;
    await pause(EVERY_MS);
  }
  return crowds;
}
