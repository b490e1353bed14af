/**
 * The testbed of a scenario: a database, the acquirer, API processes and workers. Each is a process that can
 * be killed, frozen and started again. It ends only processes that it started.
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

/** The names of the planted bugs. */
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

/** A violation, and the rule it breaks: an invariant, or a check of one scenario. */
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

export interface TestbedOptions {
  readonly chance: Chance;
  readonly bug?: PlantedBug;
  readonly acquirer?: AcquirerOptions;
  /** Deadline of a call to the acquirer, ms; the lease is 5 s longer. Default 1,000. */
  readonly remoteDeadlineMs?: number;
  /** Settings of every server. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Addresses that a server uses in place of the usual ones: those of proxies. */
export interface Addresses {
  readonly databaseUrl?: string;
  readonly acquirerUrl?: string;
}

/** Preloads fail points and planted bugs into a server. */
export const PRELOAD = { NODE_OPTIONS: `--require=${join(__dirname, 'plant.cjs')}` };

const ACCOUNTS = ['north', 'south'];
/** Short, so that leases are short. */
const REMOTE_DEADLINE_MS = 1_000;
const LEASE_MARGIN_MS = 5_000;
/** Recovery runs every 2 s, plus or minus a quarter. */
const RECOVERY_INTERVAL_MS = 2_500;
/** How long a server takes to start on a free machine, ms, while another scenario runs. */
const USUAL_START_MS = 2_000;

export class Testbed {
  readonly clients: Clients;
  readonly #directory = mkdtempSync(join(tmpdir(), 'paidonce-faults-'));
  readonly #servers = new Set<RunningServer>();
  readonly #failing = new Set<RunningServer>();
  readonly #closing: (() => Promise<unknown>)[] = [];
  readonly #workers = new Set<Program>();
  #calmSince?: number;
  #slowestStartMs = 0;
  #acquirer?: { readonly program: Program; readonly url: string };

  private constructor(
    private readonly options: TestbedOptions,
    private readonly database: FreshDatabase,
    accounts: readonly TestAccount[],
  ) {
    this.clients = new Clients(accounts, () => this.urls, options.chance.fork());
  }

  /** Opens a testbed with an acquirer and one server. */
  static async open(options: TestbedOptions): Promise<Testbed> {
    const database = await freshDatabase();
    const accounts = ACCOUNTS.map(newAccount);
    const testbed = new Testbed(options, database, accounts);
    try {
      await testbed.startAcquirer(options.acquirer);
      await testbed.startServer();
      await insertAccounts(database.url, accounts);
    } catch (error) {
      await testbed.close();
      throw error;
    }
    return testbed;
  }

  get remoteDeadlineMs(): number {
    return this.options.remoteDeadlineMs ?? REMOTE_DEADLINE_MS;
  }

  get leaseMs(): number {
    return this.remoteDeadlineMs + LEASE_MARGIN_MS;
  }

  /** How long a client retries, ms: shorter with a planted bug, which may withhold its response for ever. */
  get patienceMs(): number {
    return this.options.bug ? 20_000 : 60_000;
  }

  /**
   * Added to every bound on time, ms, so that a slow machine does not look like a slow server: twice the time
   * that the slowest start of a server took beyond that of a free machine.
   */
  get slackMs(): number {
    return 2 * Math.max(0, this.#slowestStartMs - USUAL_START_MS);
  }

  /** Adds a step to `close`, for what a scenario has started itself. */
  onClose(step: () => Promise<unknown>): void {
    this.#closing.push(step);
  }

  /** The faults are over: the time that I3 allows begins. */
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

  /** Starts a server that clients use only by its URL. `failure` says where it fails. */
  async startFailingServer(
    failure: Readonly<Record<string, string>> = {},
    addresses: Addresses = {},
  ): Promise<RunningServer> {
    const server = await this.startServer({ ...PRELOAD, ...failure }, addresses);
    this.#servers.delete(server);
    this.#failing.add(server);
    void server.program.ended.then(() => this.#failing.delete(server));
    return server;
  }

  async startServer(
    env: Readonly<Record<string, string>> = {},
    addresses: Addresses = {},
  ): Promise<RunningServer> {
    const { databaseUrl = this.databaseUrl } = addresses;
    const started = performance.now();
    const server = await startServer({ databaseUrl, env: { ...this.env(addresses), ...env } });
    this.#slowestStartMs = Math.max(this.#slowestStartMs, performance.now() - started);
    this.#servers.add(server);
    void server.program.ended.then(() => this.#servers.delete(server));
    return server;
  }

  /** Replaces all servers by one that uses other addresses. */
  async replaceServers(addresses: Addresses): Promise<void> {
    await this.endServers();
    await this.startServer({}, addresses);
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

  /** Starts the acquirer on its ledger. One that runs already is replaced, on the same port. */
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

  /** Waits until all keys are finished, at most as long as I3 allows, and checks everything. */
  async check(): Promise<{ findings: Finding[]; recoveredMs: number }> {
    const recoveredMs = await this.waitUntilRecovered();
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

  /** Queries the database directly, past any proxy. */
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
      ...[...this.#servers, ...this.#failing].map(({ program }) => program),
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

  private env(addresses: Addresses = {}): Record<string, string> {
    return {
      LOG_LEVEL: 'silent',
      ACQUIRER_URL: addresses.acquirerUrl ?? this.acquirerUrl,
      IDEMPOTENCY_REMOTE_DEADLINE_MS: String(this.remoteDeadlineMs),
      ...this.options.env,
      ...this.planted,
    };
  }

  private get planted(): Record<string, string> {
    const { bug } = this.options;
    return bug ? { ...PRELOAD, PLANTED_BUG: bug } : {};
  }

  /** Returns how long it took until no key was unfinished, ms, at most the bound. */
  private async waitUntilRecovered(): Promise<number> {
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
