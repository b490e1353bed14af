/** From the start of the process to its first response. */
import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '../test/support/server';
import { type Extent, median, type Row, spreadOf } from './figures';
import type { Stage } from './stage';

export async function measureStartup(_stage: Stage, extent: Extent): Promise<Row[]> {
  const first: number[] = [];
  const again: number[] = [];
  for (let round = 0; round < extent.rounds; round += 1) {
    const directory = mkdtempSync(join(tmpdir(), 'paidonce-bench-'));
    chmodSync(directory, 0o755);
    const env = { DATA_DIR: join(directory, 'data') };
    for (const times of [first, again]) {
      const started = performance.now();
      const server = await startServer({ env });
      const res = await fetch(`${server.url}/health`);
      await res.arrayBuffer();
      times.push((performance.now() - started) / 1_000);
      await server.stop();
    }
    rmSync(directory, { recursive: true });
    extent.say(`ready after ${first.at(-1)?.toFixed(1)} s, and ${again.at(-1)?.toFixed(1)} s`);
  }
  const row = (what: string, times: number[], goal: number): Row => {
    const { low, high } = spreadOf(times);
    return {
      case: `start ${what}`,
      against: '',
      ours: `${median(times).toFixed(2)} s (${low.toFixed(2)} to ${high.toFixed(2)})`,
      theirs: '',
      goal: `≤ ${goal} s`,
      reached: median(times) <= goal,
    };
  };
  return [row('on no data directory', first, 4), row('on an existing one', again, 1.5)];
}
