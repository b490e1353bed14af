/** Our programs as their users run them: compiled, each in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');

export interface ProgramOptions {
  /** Settings of the process, over a bare environment: nothing of the test's own reaches it. */
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Default: the project's directory. */
  readonly cwd?: string;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function programs(): string {
  const directory = process.env.TEST_PROGRAMS;
  if (directory === undefined)
    throw new Error('TEST_PROGRAMS is set by test/support/global-setup.ts');
  return directory;
}

const running = new Set<Program>();

/** Far longer than any stop that works takes. */
const STOP_DEADLINE_MS = 60_000;

/** Ends what a failed test has left running, asking first: for `afterEach`. */
export async function stopAll(): Promise<void> {
  await Promise.all(
    [...running].map(async (program) => {
      const timer = setTimeout(() => program.process.kill('SIGKILL'), STOP_DEADLINE_MS);
      await program.stop();
      clearTimeout(timer);
    }),
  );
}

/** Ends everything that is left running at once, without asking. */
export async function killAll(): Promise<void> {
  await Promise.all([...running].map((program) => program.kill9()));
}

/** A running program of this project. */
export class Program {
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(readonly process: ChildProcess) {
    process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    running.add(this);
    this.ended = once(process, 'close').then(([code, signal]: unknown[]) => {
      running.delete(this);
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
  }

  static start(
    file: 'main' | 'worker' | 'commands/keys' | 'commands/acquirer',
    options: ProgramOptions = {},
  ): Program {
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...options.env };
    return new Program(
      spawn(process.execPath, [join(programs(), `${file}.js`), ...(options.args ?? [])], {
        cwd: options.cwd ?? ROOT,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
        // A process group of its own, as a terminal gives: Ctrl-C reaches all of it.
        detached: true,
      }),
    );
  }

  /** The first match in the program's standard output; fails if the program ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) return match;
      const more = once(this.process.stdout!, 'data').then(() => undefined);
      const end = await Promise.race([more, this.ended]);
      if (end !== undefined && pattern.exec(this.stdout) === null) {
        throw new Error(
          `ended with ${end.code ?? end.signal} and said:\n${this.stdout}${this.stderr}`,
        );
      }
    }
  }

  /** Ends the process as a crash would, without a chance to clean up. */
  async kill9(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  /** Asks the process to stop, as Ctrl-C does, and waits until it has. */
  async stop(): Promise<Ended> {
    this.process.kill('SIGINT');
    return this.ended;
  }
}

export interface StartServerOptions {
  /**
   * `freshDatabase().url`; without it the server starts the embedded PostgreSQL of its DATA_DIR.
   */
  readonly databaseUrl?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /**
   * API key of the sandbox account; empty where an earlier start on the same database showed it.
   */
  readonly apiKey: string;
  readonly program: Program;
  readonly process: ChildProcess;
  kill9(): Promise<void>;
  stop(): Promise<Ended>;
}

/** Starts the server on a free port and waits until it is ready for requests. */
export async function startServer(options: StartServerOptions): Promise<RunningServer> {
  const env = {
    PORT: '0',
    LOG_LEVEL: 'error',
    ...(options.databaseUrl !== undefined && { DATABASE_URL: options.databaseUrl }),
    ...options.env,
  };
  const program = Program.start('main', { env });
  const [, url = ''] = await program.says(/paidonce listens on (\S+)\n[^]*\n$/);
  return {
    url,
    port: Number(new URL(url).port),
    apiKey: /sk_test_\w+/.exec(program.stdout)?.[0] ?? '',
    program,
    process: program.process,
    kill9: () => program.kill9(),
    stop: () => program.stop(),
  };
}

export interface RunningAcquirer {
  /** For ACQUIRER_URL. */
  readonly url: string;
  readonly program: Program;
}

/**
 * Starts the acquirer's own process and waits until it listens.
 *
 * @param ledger path of its ledger
 * @param env other ACQUIRER_* settings; ACQUIRER_PORT to come back where it was before
 */
export async function startAcquirer(
  ledger: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningAcquirer> {
  for (;;) {
    const program = Program.start('commands/acquirer', {
      env: { ACQUIRER_PORT: '0', ACQUIRER_LEDGER: ledger, ...env },
    });
    try {
      const [, url = ''] = await program.says(/acquirer listens on (\S+), ledger .*\n/);
      return { url, program };
    } catch (error) {
      // Another connection may have had its port for a moment.
      if (!program.stderr.includes('is taken by another program')) throw error;
    }
  }
}
