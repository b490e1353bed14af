/**
 * `npm run bench:compare -- DIRECTORY [--only NAME[,NAME]] [--rounds N] [--quick]`: the CPU that the server uses for
 * a request, and on Linux PostgreSQL for it, of this checkout and of another one, in turns. The load decides the rate,
 * so no rate is shown. Other settings in the environment reach both servers.
 */
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { freshDatabase, type FreshDatabase } from '../test/support/database';
import { Program } from '../test/support/server';
import { ratioOf, type Spread, spreadOf } from './figures';
import type { Stretch } from './load';
import { cpuBetween, postgresCpu } from './postgres-cpu';
import { Stage } from './stage';

const HERE = join(__dirname, '..');
const CONNECTIONS = 8;
/** Of each server, in a round of a case. */
const TURNS = 8;

/** What is sent, and how often in a round. The numbers take about two seconds each. */
const CASES: Readonly<Record<string, Case>> = {
  replay: {
    path: '/v1/customers',
    body: 'name=Ada&email=ada%40example.com',
    key: { one: 'replayed-from-memory' },
    requests: 16_000,
  },
  customer: {
    path: '/v1/customers',
    body: 'name=Ada&email=ada%40example.com',
    key: 'new',
    requests: 4_000,
  },
  payment: {
    path: '/v1/payment_intents',
    body: 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true',
    key: 'new',
    requests: 2_000,
  },
};

interface Case {
  readonly path: string;
  readonly body: string;
  readonly key: Stretch['key'];
  readonly requests: number;
}

/** A checkout's server, in a process of its own. */
interface Server {
  readonly url: string;
  readonly apiKey: string;
  readonly program: Program;
  /** Name of its database. */
  readonly database: string;
}

/** CPU that has been used, µs. */
interface Cpu {
  readonly server: number;
  /** Of the connections to the server's database; 0 where the system does not say it. */
  readonly postgres: number;
}

/** CPU of both checkouts for a request, one figure for each round. */
interface Figures {
  readonly here: Cpu[];
  readonly there: Cpu[];
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      quick: { type: 'boolean', default: false },
    },
  });
  const [directory] = positionals;
  if (directory === undefined) throw new Error('Name the directory of another checkout.');
  const names = values.only?.split(',') ?? Object.keys(CASES);
  const unknown = names.find((name) => !(name in CASES));
  if (unknown) throw new Error(`There is no ${unknown}, but ${Object.keys(CASES).join(', ')}.`);
  const share = values.quick ? 0.05 : 1;
  const checkouts = [HERE, resolve(directory)] as const;
  for (const checkout of checkouts) build(checkout);
  await Stage.prepare();
  const stage = await Stage.open(true);
  const databases: FreshDatabase[] = [];
  try {
    for (const _ of checkouts) databases.push(await freshDatabase());
    const figures = new Map(
      names.map((name): [string, Figures] => [name, { here: [], there: [] }]),
    );
    for (let round = 0; round < Number(values.rounds); round += 1) {
      // Anew: how V8 happens to compile a process changes every figure of it by some percent.
      const [here, there] = await Promise.all([
        start(checkouts[0], databases[0]!.url),
        start(checkouts[1], databases[1]!.url),
      ]);
      for (const [name, measured] of figures) {
        const both = await inTurns(stage, { ...CASES[name]!, round, share }, [here, there]);
        measured.here.push(both[0]);
        measured.there.push(both[1]);
        const texts = both.map((cpu) => `${cpu.server.toFixed(1)} + ${cpu.postgres.toFixed(1)} µs`);
        say(`round ${round + 1}, ${name}: here ${texts.join(', there ')}`);
      }
      await Promise.all([here.program.stop(), there.program.stop()]);
    }
    report(figures);
  } finally {
    await stage.close();
    for (const database of databases) await database.drop();
    await Stage.clear();
  }
}

function build(checkout: string): void {
  const { status } = spawnSync('npm', ['run', 'build:server', '--silent'], {
    cwd: checkout,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error(`${checkout} does not build.`);
}

/** The API key of each database, which only the first start on it shows. */
const apiKeys = new Map<string, string>();

async function start(checkout: string, databaseUrl: string): Promise<Server> {
  const program = new Program(
    fork(join(checkout, 'dist', 'main.js'), {
      cwd: checkout,
      execArgv: ['--require', join(__dirname, 'report-cpu.cjs')],
      env: {
        ...process.env,
        DATABASE_URL: databaseUrl,
        PORT: '0',
        JOBS: 'off',
        IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0',
        LOG_LEVEL: 'error',
      },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    }),
  );
  const [, url = ''] = await program.says(/paidonce listens on (\S+)\n[^]*\n$/);
  const shown = /sk_test_\w+/.exec(program.stdout)?.[0];
  if (shown !== undefined) apiKeys.set(databaseUrl, shown);
  const database = new URL(databaseUrl).pathname.slice(1);
  return { url, apiKey: apiKeys.get(databaseUrl) ?? '', program, database };
}

/**
 * One round of one case, in short turns: a machine that gets slower meanwhile disturbs both. The other one begins
 * in the next round.
 * @returns CPU of each for a request
 */
async function inTurns(
  stage: Stage,
  { round, share, ...wanted }: Case & { readonly round: number; readonly share: number },
  servers: readonly [Server, Server],
): Promise<[Cpu, Cpu]> {
  const amount = Math.max(CONNECTIONS, Math.round((wanted.requests * share) / TURNS));
  for (const server of servers) {
    await send(stage, server, { ...wanted, connections: 1 }, 1); // what is replayed from then on
    await send(stage, server, wanted, amount * TURNS); // to compile
  }
  const spent: [Cpu[], Cpu[]] = [[], []];
  for (let turn = 0; turn < 2 * TURNS; turn += 1) {
    const which = ((turn + round) % 2) as 0 | 1;
    spent[which].push(await send(stage, servers[which], wanted, amount));
  }
  const sum = (of: readonly Cpu[], part: keyof Cpu) => of.reduce((all, cpu) => all + cpu[part], 0);
  return spent.map((of) => ({
    server: sum(of, 'server') / (amount * TURNS),
    postgres: sum(of, 'postgres') / (amount * TURNS),
  })) as [Cpu, Cpu];
}

/** @returns the CPU that was used meanwhile */
async function send(
  stage: Stage,
  server: Server,
  { path, body, key, connections = CONNECTIONS }: Case & { readonly connections?: number },
  amount: number,
): Promise<Cpu> {
  const headers = {
    authorization: `Bearer ${server.apiKey}`,
    'content-type': 'application/x-www-form-urlencoded',
  };
  const before = await cpuOf(stage, server);
  await stage.send({ url: server.url + path, body, headers, key, connections, amount });
  const after = await cpuOf(stage, server);
  return {
    server: after.server - before.server,
    postgres: cpuBetween(before.postgres, after.postgres),
  };
}

async function cpuOf({ sql }: Stage, { program, database }: Server) {
  const reply = once(program.process, 'message') as Promise<[number]>;
  program.process.send('cpu');
  const [server] = await reply;
  return { server, postgres: await postgresCpu(sql, database) };
}

/** Medians, and the ratio of each round by itself. */
function report(figures: ReadonlyMap<string, Figures>): void {
  say('CPU for a request, median (least to most of the rounds); ratio = here ÷ there');
  for (const [name, { here, there }] of figures) {
    for (const part of ['server', 'postgres'] as const) {
      const [ours, theirs] = [here, there].map((of) => of.map((cpu) => cpu[part]));
      const ratio = ratioOf(ours!, theirs!);
      const verdict = ratio.low <= 1 && ratio.high >= 1 ? 'no difference seen' : 'differs';
      say(
        `${name}, ${part}: here ${formatSpread(spreadOf(ours!), 1)} µs, there ` +
          `${formatSpread(spreadOf(theirs!), 1)} µs, ratio ${formatSpread(ratio, 3)}: ${verdict}`,
      );
    }
  }
}

function formatSpread({ median, low, high }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

main().then(
  () => process.exit(0),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  },
);
