/** Many requests, and what the process keeps of them. */
import { once } from 'node:events';
import { type Extent, type Row } from './figures';
import type { Served, Stage } from './stage';

const STEP = 50_000;
const GOAL_MB = 5;
/** Memory is read after the caches are full and the heap has its size. */
const SETTLED = 400_000;

export async function measureEndurance(stage: Stage, extent: Extent): Promise<Row[]> {
  const total = extent.quick ? 4_000 : 1_000_000;
  const step = extent.quick ? 1_000 : STEP;
  const settled = extent.quick ? 1_000 : SETTLED;
  const served = await stage.start();
  const samples: { requests: number; megabytes: number }[] = [];
  for (let requests = step; requests <= total; requests += step) {
    await stage.send({
      url: `${served.url}/ours/named`,
      body: '{"amount":1}',
      key: 'new',
      connections: 32,
      amount: step,
    });
    const megabytes = (await memoryOf(served)) / 1e6;
    samples.push({ requests, megabytes });
    extent.say(`${requests.toLocaleString('en')} requests, ${megabytes.toFixed(1)} MB`);
  }
  await served.stop();
  const slope = slopeOf(samples.filter(({ requests }) => requests >= settled)) * 500_000;
  const most = Math.max(...samples.map(({ megabytes }) => megabytes));
  return [
    {
      case: `memory over ${total.toLocaleString('en')} requests`,
      against: `slope after ${settled.toLocaleString('en')}`,
      ours: `${slope.toFixed(1)} MB per 500,000`,
      theirs: `at most ${most.toFixed(0)} MB`,
      goal: `≤ ${GOAL_MB} MB per 500,000`,
      reached: slope <= GOAL_MB,
    },
  ];
}

async function memoryOf({ process: child }: Served): Promise<number> {
  child.send('memory');
  const [{ rss }] = (await once(child, 'message')) as [NodeJS.MemoryUsage];
  return rss;
}

/** Least squares: megabytes for each request. */
function slopeOf(samples: readonly { requests: number; megabytes: number }[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(samples.map(({ requests }) => requests));
  const y = mean(samples.map(({ megabytes }) => megabytes));
  let above = 0;
  let below = 0;
  for (const { requests, megabytes } of samples) {
    above += (requests - x) * (megabytes - y);
    below += (requests - x) ** 2;
  }
  return above / below;
}
