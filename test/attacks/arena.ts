/**
 * Where an attack takes place: a server and its database, an attacker with an account of its own, and a
 * victim that pays. Everything is measured here; what must hold in every attack is checked here.
 */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { insertAccounts, newAccount, type TestAccount } from '../support/accounts';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { eventually, onceBefore } from '../support/eventually';
import { type RunningServer, startServer } from '../support/server';
import type { Attack, Finding, Report, Run } from './attack';
import { type Memory, Probe } from './probe';
import type { Raid, RaidResult } from './raid';
import { FORM, head, post } from './requests';
import { Victim, type Waits } from './victim';

/** How often the victim pays, how long it pays alone, and how long the attack is repeated, ms. */
interface Phases {
  readonly everyMs: number;
  readonly calmMs: number;
  readonly attackMs: number;
}
const SHORT: Phases = { everyMs: 100, calmMs: 1_000, attackMs: 0 };
const PLANTED: Phases = { ...SHORT, calmMs: 0 };
/** The victim's load before everything: so often, so long, ms. It compiles what all attacks run. */
const SHORT_WARM_UP = { everyMs: 10, ms: 500 };
const LONG_WARM_UP = { everyMs: 5, ms: 5_000 };
const RUSHES = 2;
const RUSH_CONNECTIONS = 500;
/** Time that one client of the rush has, ms. */
const RUSH_TIMEOUT_MS = 60_000;
/** The goals of a long run. */
const MAX_WAIT_MS = 500;
const MAX_GROWTH_BYTES = 30 * 2 ** 20;
/** With this much more memory the attack has succeeded, and is stopped to spare the machine. */
const RUIN_BYTES = 600 * 2 ** 20;
const LOOK_EVERY_MS = 20;
/** So many checks of one attack are not shown one by one. */
const MANY_CHECKS = 20;
const STOP_MS = 20_000;
const SETTLE_MS = 10_000;
/** An API key is looked up at most once in so many ms. */
const LOOKED_UP_EVERY_MS = 1_000;

const RUNNER = join(__dirname, '..', 'support', 'run.cjs');
const preload = (file: string) => `--require=${join(__dirname, file)}`;

export const MB = 2 ** 20;

/** Thrown when an attack was stopped early. */
class Ruined extends Error {}

/** What the server runs on, and who uses it. */
interface Place {
  readonly attackerAccount: TestAccount;
  readonly victimAccount: TestAccount;
  readonly sql: Client;
  readonly database: FreshDatabase;
  /** Of the probe's socket. */
  readonly directory: string;
}

export class Arena {
  readonly victim: Victim;
  readonly #attacker: ChildProcess;
  readonly #results: RaidResult[] = [];
  #ruin?: string;
  #costliest = { ms: 0, what: '' };
  #mostLookups = 0;
  readonly #opened = performance.now();

  private constructor(
    readonly run: Run,
    readonly server: RunningServer,
    readonly probe: Probe,
    private readonly place: Place,
  ) {
    this.victim = new Victim(place.victimAccount, server.url);
    this.#attacker = fork(RUNNER, [join(__dirname, 'attacker.ts')], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    if (run.long) {
      pin(server.process, 0);
      pin(this.#attacker, 1);
    }
  }

  static async open(run: Run, env: Readonly<Record<string, string>> = {}): Promise<Arena> {
    const database = await freshDatabase();
    const directory = mkdtempSync(join(tmpdir(), 'paidonce-attacks-'));
    const socket = join(directory, 'probe');
    const victimAccount = newAccount('victim');
    const attackerAccount = newAccount('attacker');
    const server = await startServer({
      databaseUrl: database.url,
      env: {
        LOG_LEVEL: 'info',
        JOBS: 'off',
        // It grows to its bound with the victim's own payments.
        IDEMPOTENCY_REPLAY_MEMORY_BYTES: '0',
        NODE_OPTIONS: `${preload('probe.cjs')} ${preload('weaken.cjs')}`,
        PROBE_SOCKET: socket,
        PROBE_IGNORES: victimAccount.apiKey,
        ...(run.planted && { WEAKNESS: run.planted.weakness }),
        ...env,
      },
    });
    await insertAccounts(database.url, [victimAccount, attackerAccount]);
    const sql = new Client({ connectionString: database.url });
    await sql.connect();
    const probe = await Probe.open(socket, server.process.pid!);
    const place = { attackerAccount, victimAccount, sql, database, directory };
    return new Arena(run, server, probe, place);
  }

  get say(): (what: string) => void {
    return this.run.say;
  }

  /** The attacker's header `authorization`. */
  get authorization(): string {
    return `authorization: Bearer ${this.place.attackerAccount.apiKey}\r\n`;
  }

  /** @throws Error where the server had too much memory and the attack was stopped */
  async raid(plan: Raid): Promise<RaidResult> {
    const [result] = await this.raids([plan]);
    return result!;
  }

  /** Several at once. @throws as `raid` does */
  async raids(plans: readonly Raid[]): Promise<RaidResult[]> {
    const attacker = this.#attacker;
    if (this.#ruin !== undefined) throw new Ruined(this.#ruin);
    attacker.send({ target: { host: '127.0.0.1', port: this.server.port }, plans });
    const ruinedOr = () => new Ruined(this.#ruin ?? 'The attacker has ended.');
    const [message] = await onceBefore(attacker, 'message', 'exit', ruinedOr);
    const results = message as RaidResult[];
    this.#results.push(...results);
    return results;
  }

  /** What a body cost the server's process, ms; the costliest is reported. */
  cost(ms: number, what: string): void {
    if (ms > this.#costliest.ms) this.#costliest = { ms, what };
  }

  /** So many unknown keys were sent again and again for so long (ms): allows their look-ups. */
  allowLookups(keys: number, ms: number): void {
    this.#mostLookups += keys * Math.ceil(ms / LOOKED_UP_EVERY_MS + 1);
  }

  /** When the server has accepted, and begun to read, every connection that was opened before. */
  async caughtUp(): Promise<void> {
    for (let time = 0; time < 2; time += 1) {
      const asked = request(`${this.server.url}/nowhere`, { agent: false }).end();
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      await once(response.resume(), 'close');
    }
  }

  /** The server's memory after a collection of garbage, during which the victim rests. */
  memory(): Promise<Memory> {
    return this.victim.restWhile(() => this.probe.memory());
  }

  /** How much more is alive than before, bytes; measured until it is little enough, or for 10 s. */
  async kept(beforeBytes: number, enoughBytes: number): Promise<number> {
    const after = await this.memoryOnce(({ used }) => used - beforeBytes <= enoughBytes);
    return after.used - beforeBytes;
  }

  /** Ends the connections that the last raids have held. */
  async release(): Promise<void> {
    await this.raids([]);
  }

  /** One number out of the database, of the attacker's account ($1). */
  async count(sql: string): Promise<number> {
    const { rows } = await this.place.sql.query<{ count: number }>(sql, [
      this.place.attackerAccount.name,
    ]);
    return Number(rows[0]?.count);
  }

  payments(): Promise<number> {
    return this.count('SELECT count(*) FROM payment_intents WHERE account = $1');
  }

  /** Rows that the attacker's account has anywhere. */
  rows(): Promise<number> {
    const tables = ['customers', 'payment_intents', 'charges', 'idempotency_keys'];
    const counts = tables.map((table) => `(SELECT count(*) FROM ${table} WHERE account = $1)`);
    return this.count(`SELECT ${counts.join(' + ')} AS count`);
  }

  /** Lets the victim pay, first alone, then under attack, and checks what must hold in every attack. */
  async fight(attack: Attack<Arena>): Promise<Report> {
    const { everyMs, calmMs, attackMs } = phasesOf(this.run);
    await this.warmUp();
    const calm = this.victim.pay(everyMs);
    await pause(calmMs);
    const without = await calm.stop();
    const before = await this.memory();
    await this.probe.begin();

    const findings: Finding[] = [];
    const harried = this.victim.pay(everyMs);
    const guard = this.guard(before.rss + RUIN_BYTES);
    const started = performance.now();
    try {
      do {
        findings.push(...(await this.attackOnce(attack)));
      } while (performance.now() - started < attackMs);
    } catch (error) {
      if (!(error instanceof Ruined)) throw error;
      findings.push({ rule: 'memory', what: error.message });
    }
    const under = await harried.stop();
    guard.stop();
    const { begun, heldMs, highestRss } = await this.probe.totals();
    const after = await this.memoryAfter(before);
    const [payments, rows] = [await this.payments(), await this.rows()];
    await this.stopServer();
    const lookups = await this.lookups();

    const report = {
      findings: [],
      without,
      under,
      rss: { before: before.rss, highest: highestRss, after: after.rss },
      grown: { used: after.used - before.used, rss: after.rss - before.rss },
      heldMs,
      costliest: this.#costliest.ms > 0 ? this.#costliest : undefined,
      ...sumOf(this.#results),
      begun,
      payments,
      rows,
      lookups,
    };
    const common = [
      ...memoryFindings(report.grown.used, 'alive'),
      ...victimFindings(under),
      ...logFindings(this.log),
      ...this.lookupFindings(lookups),
      ...(this.run.long ? goalFindings(report) : []),
    ];
    return { ...report, findings: [...distinct(findings), ...common] };
  }

  /** With a weakness planted only the check that must notice it. */
  private async attackOnce(attack: Attack<Arena>): Promise<Finding[]> {
    const { planted, long } = this.run;
    const checks = attack.checks(this);
    const chosen = planted ? checks.filter(({ name }) => name === planted.check) : checks;
    if (chosen.length === 0) throw new Error(`${attack.name} has no check ${planted?.check}.`);
    const findings: Finding[] = [];
    for (const { name, run } of chosen) {
      const found = await run();
      findings.push(...found.map(({ rule, what }) => ({ rule, what: `${name}: ${what}` })));
      const verdict = found.length === 0 ? 'held' : 'did not hold';
      if (!planted && !long && checks.length < MANY_CHECKS) this.say(`${name}: ${verdict}`);
    }
    return findings;
  }

  /** The server's output so far. */
  get log(): string {
    return this.server.program.stderr + this.server.program.stdout;
  }

  async close(): Promise<void> {
    this.#attacker.kill('SIGKILL');
    this.victim.close();
    this.probe.close();
    await this.server.kill9();
    await this.place.sql.end();
    await this.place.database.drop();
    rmSync(this.place.directory, { recursive: true, force: true });
  }

  /** Memory once it has grown by little enough, or after 10 s. */
  private memoryAfter(before: Memory): Promise<Memory> {
    const { long } = this.run;
    return this.memoryOnce(
      ({ used, rss }) =>
        used - before.used <= MAX_GROWTH_BYTES && (!long || rss - before.rss <= MAX_GROWTH_BYTES),
    );
  }

  /** Handlers of closed connections may still run: measured again until it is settled, or for 10 s. */
  private async memoryOnce(isSettled: (memory: Memory) => boolean): Promise<Memory> {
    let memory = await this.memory();
    const settled = async () => isSettled(memory) || isSettled((memory = await this.memory()));
    const patienceMs = this.run.planted ? 0 : SETTLE_MS;
    await eventually('memory is settled', settled, patienceMs).catch(() => undefined);
    return memory;
  }

  private async warmUp(): Promise<void> {
    const { everyMs, ms } = this.run.long ? LONG_WARM_UP : SHORT_WARM_UP;
    const load = this.victim.pay(everyMs);
    await pause(ms);
    await load.stop();
    if (this.run.long) await this.rush();
  }

  /**
   * An ordinary rush: many honest clients at once. The C library keeps the memory of their connections and
   * buffers for the next rush, whoever causes it. So resident memory is compared with what it is after one.
   */
  private async rush(): Promise<void> {
    const { apiKey } = this.place.victimAccount;
    const form = Array.from({ length: 50 }, (_, n) => `metadata[k${n}]=${'a'.repeat(500)}`).join(
      '&',
    );
    const headers = `authorization: Bearer ${apiKey}\r\n${FORM}`;
    const parts = [
      { text: post('/v1/customers', headers, form) },
      { text: head('GET', '/docs/swagger-ui-bundle.js') },
    ];
    const plan = { connections: RUSH_CONNECTIONS, parts, responses: 2, ms: RUSH_TIMEOUT_MS };
    for (let time = 0; time < RUSHES; time += 1) {
      const { served } = await this.raid(plan);
      if (served < RUSH_CONNECTIONS) throw new Error(`${served} clients of the rush were served.`);
    }
    this.#results.length = 0;
  }

  /** The victim's key and the attacker's are looked up once in a while too. */
  private lookupFindings(lookups: number): Finding[] {
    if (this.#mostLookups === 0) return [];
    const most = this.#mostLookups + 2 * ((performance.now() - this.#opened) / LOOKED_UP_EVERY_MS);
    if (lookups <= most) return [];
    return [{ rule: 'lookups', what: `${lookups} keys were looked up, of ${Math.round(most)}` }];
  }

  /** In good order, or, where an attack has won, in any. */
  private async stopServer(): Promise<void> {
    const timer = setTimeout(() => void this.server.kill9(), STOP_MS);
    await this.server.stop();
    clearTimeout(timer);
  }

  /** Ends the attacker when the server has more memory than `most`. */
  private guard(most: number): { stop: () => void } {
    const timer = setInterval(() => {
      const { rss } = this.probe;
      if (rss < most) return;
      this.#ruin = `the server had ${Math.round(rss / MB)} MB when the attack was broken off`;
      this.#attacker.kill('SIGKILL');
      clearInterval(timer);
    }, LOOK_EVERY_MS);
    return { stop: () => clearInterval(timer) };
  }

  /** Look-ups of API keys. The database knows all of them only when its clients are gone. */
  private lookups(): Promise<number> {
    return this.count(
      `SELECT seq_scan + coalesce(idx_scan, 0) AS count FROM pg_stat_user_tables
       WHERE relname = 'api_keys' AND $1 <> ''`,
    );
  }
}

function phasesOf({ long, seconds, planted }: Run): Phases {
  if (long) return { everyMs: 1_000, calmMs: seconds * 1_000, attackMs: seconds * 1_000 };
  return planted ? PLANTED : SHORT;
}

/** Pins a process to a core, so that the attacker takes no time from the server. */
function pin({ pid }: ChildProcess, core: number): void {
  if (cpus().length < 2) return;
  // Where there is no taskset they share.
  spawnSync('taskset', ['-a', '-c', '-p', String(core), String(pid)]);
}

function memoryFindings(grownBytes: number, kind: string): Finding[] {
  if (grownBytes <= MAX_GROWTH_BYTES) return [];
  return [
    { rule: 'memory', what: `${Math.round(grownBytes / MB)} MB more are ${kind} afterwards` },
  ];
}

const victimFindings = ({ failures }: Waits): Finding[] =>
  Object.entries(failures).map(([what, times]) => ({
    rule: 'victim',
    what: `${times} payments of the victim ended with ${what}`,
  }));

/** An attack must not be logged as an error or as a lost database. */
function logFindings(log: string): Finding[] {
  const lines = log.split('\n').filter((line) => /\bERROR\b|lost the database/.test(line));
  const [first] = lines;
  return first === undefined ? [] : [{ rule: 'log', what: `${lines.length} lines like: ${first}` }];
}

function goalFindings({ under, grown }: Pick<Report, 'under' | 'grown'>): Finding[] {
  const waited: Finding = {
    rule: 'victim',
    what: `a payment of the victim took ${Math.round(under.worst)} ms`,
  };
  return [...(under.worst > MAX_WAIT_MS ? [waited] : []), ...memoryFindings(grown.rss, 'resident')];
}

/** Findings of later rounds that say the same are the same. */
const distinct = (findings: readonly Finding[]): Finding[] => [
  ...new Map(findings.map((finding) => [`${finding.rule} ${finding.what}`, finding])).values(),
];

function sumOf(results: readonly RaidResult[]) {
  const sum = (figure: (result: RaidResult) => number) =>
    results.reduce((total, result) => total + figure(result), 0);
  const statuses: Record<string, number> = {};
  const refusals = new Set<string>();
  for (const result of results) {
    for (const [status, times] of Object.entries(result.statuses)) {
      statuses[status] = (statuses[status] ?? 0) + times;
    }
    for (const [status, body] of Object.entries(result.bodies)) {
      if (Number(status) >= 400) refusals.add(`${status} ${messageIn(body)}`);
    }
  }
  return {
    requests: sum(({ requests }) => requests),
    bytes: sum(({ bytes }) => bytes),
    connections: sum(({ connections }) => connections),
    closed: sum(({ closed }) => closed),
    statuses,
    refusals: [...refusals],
  };
}

/** The code, or the beginning of the sentence, of an error in the envelope. */
function messageIn(body: string): string {
  const code = /"code":"(\w+)"/.exec(body)?.[1];
  const message = /"message":"([^"]*)/.exec(body)?.[1] ?? body;
  return code ?? message.slice(0, 60);
}
