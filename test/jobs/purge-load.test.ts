/** R19 a purge of 200,000 expired keys while requests run: what it does to them is printed. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { PATIENT } from '../support/patience';
import { Program, type RunningServer, startServer, stopAll } from '../support/server';
import { connected, countKeys, insertFinished } from './keys.fixture';

jest.setTimeout(600_000);

const EXPIRED = 200_000;
const CLIENTS = 4;
const WITHOUT_PURGE_MS = 5_000;

let database: FreshDatabase;
let sql: Client;
let api: RunningServer;

beforeAll(async () => {
  database = await freshDatabase();
  api = await startServer({ databaseUrl: database.url, env: { ...PATIENT, JOBS: 'off' } });
  sql = await connected(database.url);
  await insertFinished(sql, 'expired', EXPIRED, 3_600);
  await insertFinished(sql, 'alive', 1_000, -3_600);
  await sql.query('ANALYZE idempotency_keys');
});
afterAll(async () => {
  await stopAll();
  await sql.end();
  await database.drop();
});

interface Load {
  /** Of each request, ms. */
  readonly took: number[];
  readonly statuses: Set<number>;
}

/** Clients that create customers, each with a key of its own, until they are stopped. */
async function load(signal: AbortSignal): Promise<Load> {
  const took: number[] = [];
  const statuses = new Set<number>();
  const client = async () => {
    while (!signal.aborted) {
      const started = performance.now();
      const res = await fetch(`${api.url}/v1/customers`, {
        method: 'POST',
        headers: { authorization: `Bearer ${api.apiKey}`, 'idempotency-key': randomUUID() },
        body: new URLSearchParams({ email: 'ada@example.com' }),
      });
      await res.arrayBuffer();
      took.push(performance.now() - started);
      statuses.add(res.status);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return { took, statuses };
}

function percentile(took: number[], share: number): number {
  const sorted = took.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

const describeLoad = ({ took }: Load, ms: number) =>
  `${Math.round((took.length / ms) * 1_000)} requests/s, p50 ${percentile(took, 0.5).toFixed(1)} ms, ` +
  `p99 ${percentile(took, 0.99).toFixed(1)} ms`;

describe('R19 the purge under load', () => {
  it('removes the whole backlog and lets requests through', async () => {
    const before = new AbortController();
    const warmUp = load(before.signal);
    await pause(1_000);
    before.abort();
    await warmUp;
    const alone = new AbortController();
    const undisturbed = load(alone.signal);
    await pause(WITHOUT_PURGE_MS);
    alone.abort();
    const without = await undisturbed;

    const worker = Program.start('worker', {
      env: { DATABASE_URL: database.url, LOG_LEVEL: 'error' },
    });
    const begun = async () => (await countKeys(sql, 'expired')) < EXPIRED;
    await eventually('the purge has begun', begun);
    const started = performance.now();
    const during = new AbortController();
    const disturbed = load(during.signal);
    const blocked: string[] = [];
    const all = async () => {
      await pause(50);
      blocked.push(...(await blockedByThePurge()));
      return (await countKeys(sql, 'expired')) === 0;
    };
    await eventually('all expired keys are gone', all, 500_000);
    during.abort();
    const withPurge = await disturbed;
    const lastedMs = performance.now() - started;

    const reported = async () => (await figures()) !== undefined;
    await eventually('the purge has reported', reported);
    const { removed = 0, batches = 0, tookSeconds = 1 } = (await figures()) ?? {};
    console.log(
      `Purge: ${removed} keys in ${batches} batches and ${tookSeconds.toFixed(1)} s ` +
        `(${Math.round(removed / tookSeconds)} rows/s). Meanwhile ${describeLoad(withPurge, lastedMs)}; ` +
        `without it ${describeLoad(without, WITHOUT_PURGE_MS)}.`,
    );
    expect(removed).toBe(EXPIRED);
    expect(await countKeys(sql, 'alive')).toBe(1_000);
    expect([...without.statuses, ...withPurge.statuses]).toEqual([200, 200]);
    // The line above shows the cost. It is small because no request waits for a lock of the purge.
    expect(blocked).toEqual([]);
    expect(withPurge.took.length).toBeGreaterThan(batches);
    expect(await worker.stop()).toEqual({ code: 0, signal: null });
  });
});

/** The statements that wait, at this moment, for a lock that the purge holds. */
async function blockedByThePurge(): Promise<string[]> {
  const { rows } = await sql.query<{ query: string }>(
    `SELECT waiting.query FROM pg_stat_activity waiting, pg_stat_activity purging
     WHERE purging.pid = ANY (pg_blocking_pids(waiting.pid))
       AND purging.query LIKE 'DELETE FROM idempotency_keys%'`,
  );
  return rows.map(({ query }) => query);
}

async function figures(): Promise<Record<string, number> | undefined> {
  const { rows } = await sql.query<{ figures: Record<string, number> }>(
    `SELECT figures FROM jobs.reports WHERE job = 'purge'`,
  );
  return rows[0]?.figures;
}
