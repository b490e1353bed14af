/**
 * What a scenario happens in: a database of its own, the acquirer, API processes and workers, each a
 * process that can be killed, frozen and started again. Ends only what it started.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { insertAccounts, newAccount, type TestAccount } from '../support/accounts';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { Program, type RunningServer, startAcquirer, startServer } from '../support/server';
import { check, type Invariant } from './checker';
import { Clients } from './clients';
import { readLedger, readTables } from './evidence';
import type { Chance } from './random';

/** Names under which planted bugs go. */
export type PlantedBug =
  | 'no_fence'
  | 'remote_key_per_attempt'
  | 'lease_ignored'
  | 'response_after_commit'
  | 'no_statement_patience'
  | 'waits_for_redis'
  | 'jobs_declared_once'
  | 'ledger_lags'
  | 'own_clock';

/** What is wrong, and by which rule: an invariant, or what a scenario expects besides. */
export interface Finding {
  readonly rule:
    Invariant | 'answers' | 'deadline' | 'recovery' | 'jobs' | 'fence' | 'clock' | 'fault';
  readonly what: string;
}

export interface AcquirerOptions {
  readonly latencyMs?: number;
  readonly latencyMaxMs?: number;
  readonly loseReplyRate?: number;
}

export interface WorldOptions {
  readonly chance: Chance;
  readonly bug?: PlantedBug;
  readonly acquirer?: AcquirerOptions;
  /** Longest call to the acquirer, ms; the lease is 5 s longer. Default 1,000. */
  readonly remoteDeadlineMs?: number;
  /** Settings of every server. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Ends of an address: what stands between a server and what it talks to. */
export interface Ways {
  readonly databaseUrl?: string;
  readonly acquirerUrl?: string;
}

/** Brings fail points and planted bugs into a server from outside. */
export const PRELOAD = { NODE_OPTIONS: `--require=${join(__dirname, 'plant.cjs')}` };

const ACCOUNTS = ['north', 'south'];
/** Short, so that leases are. */
const REMOTE_DEADLINE_MS = 1_000;
const LEASE_MARGIN_MS = 5_000;
/** Recovery looks every 2 s, give or take a quarter. */
const RECOVERY_INTERVAL_MS = 2_500;
/** What a server takes to start on a free machine, ms, beside another scenario. */
const USUAL_START_MS = 2_000;

export class World {
  readonly clients: Clients;
  readonly #directory = mkdtempSync(join(tmpdir(), 'paidonce-faults-'));
  readonly #servers = new Set<RunningServer>();
  readonly #doomed = new Set<RunningServer>();
  readonly #closing: (() => Promise<unknown>)[] = [];
  readonly #workers = new Set<Program>();
  #calmSince?: number;
  #slowestStartMs = 0;
  #acquirer?: { readonly program: Program; readonly url: string };

  private constructor(
    private readonly options: WorldOptions,
    private readonly database: FreshDatabase,
    accounts: readonly TestAccount[],
  ) {
    this.clients = new Clients(accounts, () => this.urls, options.chance.fork());
  }

  /** Opens a world with an acquirer and one server in it. */
  static async open(options: WorldOptions): Promise<World> {
    const database = await freshDatabase();
    const accounts = ACCOUNTS.map(newAccount);
    const world = new World(options, database, accounts);
    try {
      await world.startAcquirer(options.acquirer);
      await world.startServer();
      await insertAccounts(database.url, accounts);
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  get remoteDeadlineMs(): number {
    return this.options.remoteDeadlineMs ?? REMOTE_DEADLINE_MS;
  }

  get leaseMs(): number {
    return this.remoteDeadlineMs + LEASE_MARGIN_MS;
  }

  /** How long a client insists that a planted bug may keep from its answer for ever, ms. */
  get patienceMs(): number {
    return this.options.bug ? 20_000 : 60_000;
  }

  /**
   * What every bound on time grows by, ms, so that a slow machine is not taken for a slow server: twice what
   * the start of a server has taken more here than on a free machine, where it is 0.
   */
  get slackMs(): number {
    return 2 * Math.max(0, this.#slowestStartMs - USUAL_START_MS);
  }

  /** What a scenario has put up and must take down, once everything was checked. */
  onClose(step: () => Promise<unknown>): void {
    this.#closing.push(step);
  }

  /** From here on nothing is broken on purpose: the time that I3 grants begins. */
  calm(): void {
    this.#calmSince = performance.now();
  }

  get databaseUrl(): string {
    return this.database.url;
  }

  get acquirerUrl(): string {
    if (!this.#acquirer) throw new Error('The acquirer is down.');
    return this.#acquirer.url;
  }

  get servers(): readonly RunningServer[] {
    return [...this.#servers];
  }

  get urls(): string[] {
    return [...this.#servers].map(({ url }) => url);
  }

  get workers(): readonly Program[] {
    return [...this.#workers];
  }

  /** A server that clients do not choose by themselves; it may be told where to fail. */
  async startDoomed(
    failure: Readonly<Record<string, string>> = {},
    ways: Ways = {},
  ): Promise<RunningServer> {
    const server = await this.startServer({ ...PRELOAD, ...failure }, ways);
    this.#servers.delete(server);
    this.#doomed.add(server);
    void server.program.ended.then(() => this.#doomed.delete(server));
    return server;
  }

  async startServer(
    env: Readonly<Record<string, string>> = {},
    ways: Ways = {},
  ): Promise<RunningServer> {
    const { databaseUrl = this.databaseUrl } = ways;
    const started = performance.now();
    const server = await startServer({ databaseUrl, env: { ...this.env(ways), ...env } });
    this.#slowestStartMs = Math.max(this.#slowestStartMs, performance.now() - started);
    this.#servers.add(server);
    void server.program.ended.then(() => this.#servers.delete(server));
    return server;
  }

  /** In place of all servers, one that goes other ways. */
  async replaceServers(ways: Ways): Promise<void> {
    await this.endServers();
    await this.startServer({}, ways);
  }

  async endServers(): Promise<void> {
    await Promise.all([...this.#servers].map((server) => server.kill9()));
  }

  async startWorker(): Promise<Program> {
    const env = { ...this.env(), DATABASE_URL: this.databaseUrl };
    const worker = Program.start('worker', { env });
    await worker.says(/runs\n/);
    this.#workers.add(worker);
    void worker.ended.then(() => this.#workers.delete(worker));
    return worker;
  }

  /** Starts the acquirer on its ledger; again on the same port, with other habits, where it ran. */
  async startAcquirer({ latencyMs = 0, latencyMaxMs, loseReplyRate }: AcquirerOptions = {}) {
    const port = this.#acquirer ? new URL(this.#acquirer.url).port : '0';
    await this.#acquirer?.program.kill9();
    this.#acquirer = await startAcquirer(this.ledger, {
      ACQUIRER_PORT: port,
      ACQUIRER_LATENCY_MS: String(latencyMs),
      ACQUIRER_LATENCY_MAX_MS: String(latencyMaxMs ?? latencyMs),
      ACQUIRER_LOSE_REPLY_RATE: String(loseReplyRate ?? 0),
      ACQUIRER_SEED: String(this.options.chance.between(1, 1_000_000)),
      ...this.planted,
    });
  }

  /** Waits for what a run may still need, at most as long as I3 grants, and checks everything. */
  async check(): Promise<{ findings: Finding[]; recoveredMs: number }> {
    const recoveredMs = await this.recovered();
    const findings = check({
      ledger: readLedger(this.ledger),
      tables: await readTables(this.databaseUrl),
      clients: this.clients.records,
    });
    return {
      findings: findings.map(({ invariant, what }) => ({ rule: invariant, what })),
      recoveredMs,
    };
  }

  /** One value out of the database, by whatever way is direct. */
  async ask<T>(sql: string, values: unknown[] = []): Promise<T[]> {
    const client = new Client({ connectionString: this.databaseUrl });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<T & object>(sql, values)).rows;
    } finally {
      await client.end();
    }
  }

  async close(): Promise<void> {
    this.clients.close();
    const programs = [
      ...[...this.#servers, ...this.#doomed].map(({ program }) => program),
      ...this.#workers,
      ...(this.#acquirer ? [this.#acquirer.program] : []),
    ];
    await Promise.all(programs.map((program) => program.kill9()));
    for (const step of this.#closing) await step();
    await this.database.drop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  private get ledger(): string {
    return join(this.#directory, 'acquirer.ledger');
  }

  private env(ways: Ways = {}): Record<string, string> {
    return {
      LOG_LEVEL: 'silent',
      ACQUIRER_URL: ways.acquirerUrl ?? this.acquirerUrl,
      IDEMPOTENCY_REMOTE_DEADLINE_MS: String(this.remoteDeadlineMs),
      ...this.options.env,
      ...this.planted,
    };
  }

  private get planted(): Record<string, string> {
    const { bug } = this.options;
    return bug ? { ...PRELOAD, PLANTED_BUG: bug } : {};
  }

  /** How long it took until nothing was unfinished, or the whole bound. */
  private async recovered(): Promise<number> {
    const since = (this.#calmSince ??= performance.now());
    const boundMs = this.leaseMs + 2 * RECOVERY_INTERVAL_MS + this.slackMs;
    for (;;) {
      const [row] = await this.ask<{ left: number }>(
        'SELECT count(*)::int AS left FROM idempotency_keys WHERE status IS NULL',
      );
      const tookMs = performance.now() - since;
      if (row?.left === 0 || tookMs > boundMs) return Math.round(tookMs);
      await pause(100);
    }
  }
}
