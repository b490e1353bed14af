/** What a benchmark runs on: PostgreSQL, Redis, the application and the load, each its own process. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Client } from 'pg';
import globalSetup from '../test/support/global-setup';
import globalTeardown from '../test/support/global-teardown';
import { freshDatabase } from '../test/support/database';
import { hasRedis, Redis } from '../test/support/redis';
import type { Measured, Stretch } from './load';

const RUNNER = join(__dirname, '..', 'test', 'support', 'run.cjs');

export class Stage {
  readonly #children: ChildProcess[] = [];
  readonly #closing: (() => Promise<unknown>)[] = [];
  #load?: ChildProcess;

  private constructor(
    readonly databaseUrl: string,
    readonly redisUrl: string | undefined,
    /** For what is asked of the database beside the load. */
    readonly sql: Client,
  ) {}

  /** @param prepared whether PostgreSQL runs already, and src is compiled: see `prepare` */
  static async open(prepared = false): Promise<Stage> {
    if (!prepared) await Stage.prepare();
    const database = await freshDatabase();
    const redis = hasRedis ? await Redis.start() : undefined;
    const sql = new Client({ connectionString: database.url });
    await sql.connect();
    const stage = new Stage(database.url, redis?.url, sql);
    stage.#closing.push(
      () => sql.end(),
      async () => redis?.stop(),
    );
    if (!prepared) stage.#closing.push(Stage.clear);
    return stage;
  }

  /** A PostgreSQL for all stages until `clear`. */
  static readonly prepare = globalSetup;
  static readonly clear = globalTeardown;

  /**
   * Starts bench/server.ts, or another program that says where it listens.
   *
   * @returns its URL, and the process
   */
  async start(env: Readonly<Record<string, string>> = {}, program = 'server.ts'): Promise<Served> {
    const child = fork(RUNNER, [join(__dirname, program)], {
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: this.databaseUrl,
        ...(this.redisUrl && { REDIS_URL: this.redisUrl }),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      execArgv: (process.env.BENCH_NODE ?? '').split(' ').filter(Boolean),
    });
    this.#children.push(child);
    let said = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
    for (;;) {
      const url = /listens on (\S+)\n/.exec(said)?.[1];
      if (url !== undefined) return { url, process: child, stop: () => end(child) };
      await Promise.race([
        once(child.stdout!, 'data'),
        once(child, 'exit').then(() => {
          throw new Error('The application did not start.');
        }),
      ]);
    }
  }

  /** Sends one stretch of load, and waits until it is over. */
  async send(stretch: Stretch): Promise<Measured> {
    const load = (this.#load ??= this.startLoad());
    const listening = new AbortController();
    const { signal } = listening;
    load.send(stretch);
    const [measured] = (await Promise.race([
      once(load, 'message', { signal }),
      once(load, 'exit', { signal }).then(() => {
        throw new Error('The load has ended.');
      }),
    ]).finally(() => listening.abort())) as [Measured];
    if (measured.refused + measured.failed > 0) {
      throw new Error(
        `${stretch.url}: ${measured.refused} responses were no success, ${measured.failed} requests failed.`,
      );
    }
    return measured;
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map(end));
    for (const step of this.#closing) await step();
  }

  private startLoad(): ChildProcess {
    const child = fork(RUNNER, [join(__dirname, 'load.ts')], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#children.push(child);
    return child;
  }
}

/** The application under load. */
export interface Served {
  readonly url: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
