/** The CPU that PostgreSQL's connections to a database have used, on Linux. */
import { existsSync, readFileSync } from 'node:fs';
import type { Client } from 'pg';

/** By the number of each connection's process, µs; 0 where the system does not say it. */
export async function postgresCpu(
  sql: Client,
  database: string,
): Promise<ReadonlyMap<number, number>> {
  const { rows } = await sql.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
    [database],
  );
  return new Map(rows.map(({ pid }) => [pid, cpuOfProcess(pid)]));
}

/** What was used between two readings, µs. A pool may have closed connections meanwhile, and opened others. */
export function cpuBetween(
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): number {
  return [...after].reduce((all, [pid, us]) => all + us - (before.get(pid) ?? 0), 0);
}

/** https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat */
function cpuOfProcess(pid: number): number {
  const file = `/proc/${pid}/schedstat`;
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ', 1)[0]) / 1_000 : 0;
}
