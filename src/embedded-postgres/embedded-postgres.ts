/**
 * The PostgreSQL of a start without any configuration: a real server, from the binaries that came
 * with `npm ci`, in a directory of ours. It is a process of its own: it outlives a killed Node
 * process, and whoever starts next on the same directory takes it over.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import {
  chooseUser,
  EmbeddedPostgresError,
  isReachable,
  locateBinaries,
  type RunAs,
} from './binaries';

export interface EmbeddedPostgresOptions {
  /**
   * Holds the cluster in `postgres/` and the server's log in `postgres.log`; made if it is not
   * there.
   */
  readonly dataDir: string;
  /** TCP port on 127.0.0.1. Default: the one of the last start, or a free one. */
  readonly port?: number;
}

export interface EmbeddedPostgres {
  /** Superuser's URL of the database `paidonce`. */
  readonly url: string;
  /**
   * Stops the server, unless another process still uses it. Call it when all connections are
   * closed.
   */
  stop(): Promise<void>;
}

const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 10_000;
const POLL_MS = 20;

/**
 * A setting of our own on the server's command line: it tells our server from any other process.
 */
const MARK = 'paidonce.cluster';

/** The superuser's password, inside the cluster so that the two cannot part. */
const PASSWORD_FILE = 'paidonce.password';

/**
 * Every process that uses the server holds this lock, shared. Whoever gets it alone is the last one
 * and may stop the server. The lock of a killed process is gone with its connection.
 */
const USERS_LOCK = 0x7061_6964;

/**
 * Starts PostgreSQL on the data directory, or joins one that runs there already.
 * @throws EmbeddedPostgresError with a sentence for people
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  if (process.platform === 'win32') {
    throw new EmbeddedPostgresError(
      'The embedded PostgreSQL runs on Linux and macOS only: set DATABASE_URL to a server of your own.',
    );
  }
  const server = new EmbeddedServer(resolve(options.dataDir), options.port);
  await server.start();
  return { url: server.url, stop: () => server.stop() };
}

class EmbeddedServer {
  private readonly cluster: string;
  private readonly log: string;
  private user: RunAs | undefined;
  private binaries: string;
  private password: string;
  /** Once the server has been joined; from then on it must come back on the same one. */
  private port: number | undefined;
  private membership: Client | undefined;
  private stopping = false;

  constructor(
    private readonly dataDir: string,
    private readonly wantedPort: number | undefined,
  ) {
    this.cluster = join(dataDir, 'postgres');
    this.log = join(dataDir, 'postgres.log');
  }

  get url(): string {
    return `postgres://postgres:${this.password}@127.0.0.1:${this.port}/paidonce`;
  }

  async start(): Promise<void> {
    try {
      mkdirSync(this.dataDir, { recursive: true });
      this.user = chooseUser(this.cluster);
      this.binaries = locateBinaries(this.dataDir, this.user);
      if (!existsSync(this.cluster)) this.initialise();
      this.password = readFileSync(join(this.cluster, PASSWORD_FILE), 'utf8');
    } catch (error) {
      throw error instanceof EmbeddedPostgresError
        ? error
        : new EmbeddedPostgresError(
            `The embedded PostgreSQL cannot use ${this.dataDir}: ${(error as Error).message}.`,
            { cause: error },
          );
    }
    await this.runUntilJoined();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    const client = this.membership;
    this.membership = undefined;
    if (client === undefined) return;
    const pid = this.postmasterPid();
    const last = await client
      .query<{ last: boolean }>(
        'SELECT pg_advisory_unlock_shared($1), pg_try_advisory_lock($1) AS last',
        [USERS_LOCK],
      )
      .then(({ rows }) => rows[0]?.last === true)
      .catch(() => true);
    if (last && pid !== undefined) {
      signal(pid, 'SIGINT');
      if (!(await this.hasEnded(pid))) {
        // Not even a fast shutdown: the write-ahead log makes an immediate one safe.
        signal(pid, 'SIGQUIT');
        await this.hasEnded(pid);
      }
    }
    await client.end().catch(() => undefined);
  }

  /**
   * Makes the cluster beside its place and renames it into it: a start cut short leaves no half
   * cluster.
   */
  private initialise(): void {
    const draft = `${this.cluster}.${process.pid}`;
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { mode: 0o700 });
    this.own(draft);
    const passwordFile = `${draft}.password`;
    writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 });
    this.own(passwordFile);
    const password = openSync(passwordFile, 'r');
    const result = spawnSync(
      join(this.binaries, 'bin', 'initdb'),
      [
        `--pgdata=${this.directoryArgument(draft)}`,
        '--username=postgres',
        '--locale=C',
        '--encoding=UTF8',
        '--auth=scram-sha-256',
        '--pwfile=/dev/stdin',
      ],
      { ...this.spawnOptions(draft), stdio: [password, 'pipe', 'pipe'], encoding: 'utf8' },
    );
    closeSync(password);
    renameSync(passwordFile, join(draft, PASSWORD_FILE));
    if (result.status !== 0) {
      rmSync(draft, { recursive: true, force: true });
      const reason = (result.error?.message ?? result.stderr).trim();
      throw new EmbeddedPostgresError(`The embedded PostgreSQL could not be set up: ${reason}`);
    }
    try {
      renameSync(draft, this.cluster);
    } catch (error) {
      rmSync(draft, { recursive: true, force: true });
      // Another process made the cluster meanwhile: theirs serves.
      if (!existsSync(this.cluster)) throw error;
    }
  }

  /**
   * Starts a server unless one runs, and becomes one of its users, again and again until both
   * worked.
   */
  private async runUntilJoined(): Promise<void> {
    const deadline = performance.now() + START_DEADLINE_MS;
    let reason = '';
    while (performance.now() < deadline && !this.stopping) {
      try {
        if (this.postmasterPid() === undefined) await this.spawnServer();
        await this.join();
        return;
      } catch (error) {
        reason = (error as Error).message;
        await sleep(POLL_MS);
      }
    }
    if (this.stopping) return;
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL did not start within ${START_DEADLINE_MS / 1000} s (${reason}); its log is ${this.log}.`,
    );
  }

  private async spawnServer(): Promise<void> {
    this.removeStalePidFile();
    const port = await this.choosePort();
    const log = openSync(this.log, 'a', 0o600);
    const settings = {
      listen_addresses: '127.0.0.1',
      port,
      // Sockets in the file system would need a short path that others cannot write to.
      unix_socket_directories: '',
      max_connections: 200,
      fsync: 'on',
      timezone: 'UTC',
      log_timezone: 'UTC',
      log_min_messages: 'fatal',
      log_min_error_statement: 'panic',
      // Read by nobody but isOurPostmaster.
      [MARK]: this.cluster,
    };
    const child = spawn(
      join(this.binaries, 'bin', 'postgres'),
      [
        '-D',
        this.directoryArgument(this.cluster),
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      // Detached: Ctrl-C in a terminal must not reach it, since requests still drain then.
      { ...this.spawnOptions(this.cluster), detached: true, stdio: ['ignore', log, log] },
    );
    closeSync(log);
    const ended = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', () => reject(new Error(this.lastLogLine())));
    });
    ended.catch(() => undefined);
    child.unref();
    const poll = setInterval(() => {
      if (this.pidFile()[7]?.trim() === 'ready') child.emit('ready');
    }, POLL_MS);
    try {
      await Promise.race([ended, once(child, 'ready')]);
    } finally {
      clearInterval(poll);
    }
  }

  /** Connects, makes the database if this is the first start, and holds the users' lock. */
  private async join(): Promise<void> {
    const port = Number(this.pidFile()[3]);
    if (!(port > 0)) throw new Error('it is only just starting');
    const wanted = this.port ?? this.wantedPort ?? port;
    if (port !== wanted) throw new Error(`it runs on port ${port}, not on ${wanted}`);
    const client = new Client({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      password: this.password,
      database: 'postgres',
      connectionTimeoutMillis: 5_000,
      application_name: 'paidonce launcher',
    });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await client.query('SELECT pg_advisory_lock_shared($1)', [USERS_LOCK]);
      await createDatabase(client);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    client.once('end', () => this.restart());
    this.membership = client;
    this.port = port;
    writeFileSync(join(this.dataDir, 'postgres.port'), String(this.port));
  }

  /**
   * PostgreSQL went away while it was needed: the pools reconnect by themselves once it is back.
   */
  private restart(): void {
    if (this.stopping) return;
    this.membership = undefined;
    this.runUntilJoined().catch((error: Error) => {
      process.stderr.write(`${error.message}\n`);
      if (!this.stopping) setTimeout(() => this.restart(), 1_000).unref();
    });
  }

  /**
   * The port stays the same from start to start where it can, so that tools keep their connection.
   */
  private async choosePort(): Promise<number> {
    const fixed = this.port ?? this.wantedPort;
    if (fixed !== undefined) return fixed;
    const file = join(this.dataDir, 'postgres.port');
    const known = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
    return (await findFreePort(known)) ?? (await findFreePort(0)) ?? known;
  }

  /**
   * The lines of postmaster.pid: pid, directory, start, port, socket directory, address, memory,
   * state.
   */
  private pidFile(): string[] {
    const file = join(this.cluster, 'postmaster.pid');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  }

  /** The server that runs on this directory, if one does. */
  private postmasterPid(): number | undefined {
    const pid = Number(this.pidFile()[0] ?? Number.NaN);
    return pid > 0 && this.isOurPostmaster(pid) ? pid : undefined;
  }

  private isOurPostmaster(pid: number): boolean {
    try {
      const command =
        process.platform === 'linux'
          ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
          : spawnSync('ps', ['-ww', '-p', String(pid), '-o', 'command='], { encoding: 'utf8' })
              .stdout;
      return command.includes(`${MARK}=${this.cluster}`);
    } catch {
      return false;
    }
  }

  /**
   * After a power cut another process may have the number of the old one; PostgreSQL would not
   * start.
   */
  private removeStalePidFile(): void {
    const file = join(this.cluster, 'postmaster.pid');
    if (existsSync(file) && this.postmasterPid() === undefined) rmSync(file, { force: true });
  }

  private async hasEnded(pid: number): Promise<boolean> {
    const deadline = performance.now() + STOP_DEADLINE_MS;
    while (performance.now() < deadline) {
      if (!this.isOurPostmaster(pid)) return true;
      await sleep(POLL_MS);
    }
    return false;
  }

  private spawnOptions(cwd: string) {
    // Nothing of our own environment: PG* variables in it would change what initdb makes.
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin', TZ: 'UTC', LC_ALL: 'C' };
    return { cwd, env, uid: this.user?.uid, gid: this.user?.gid };
  }

  /**
   * How the server names its directory. Root's home is closed to the user that PostgreSQL runs as,
   * but a process needs no permission to stay where it was put: then the directory is its working
   * directory.
   */
  private directoryArgument(dir: string): string {
    if (isReachable(dir, this.user)) return dir;
    if (process.platform === 'linux') return '/proc/self/cwd';
    throw new EmbeddedPostgresError(
      `PostgreSQL does not run as root, and the user it runs as instead (uid ${this.user?.uid}) cannot enter ${this.dataDir}: set DATA_DIR to a directory that others may enter, or run as a normal user.`,
    );
  }

  private own(path: string): void {
    if (this.user !== undefined) chownSync(path, this.user.uid, this.user.gid);
  }

  private lastLogLine(): string {
    const lines = existsSync(this.log) ? readFileSync(this.log, 'utf8').trim().split('\n') : [];
    return lines.at(-1) ?? 'it ended without a word';
  }
}

async function createDatabase(client: Client): Promise<void> {
  const { rowCount } = await client.query(`SELECT FROM pg_database WHERE datname = 'paidonce'`);
  if (rowCount !== 0) return;
  await client.query('CREATE DATABASE paidonce').catch((error: { code?: string }) => {
    // 42P04, 23505: another process was quicker.
    if (error.code !== '42P04' && error.code !== '23505') throw error;
  });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

/** The port if nothing listens on it, else undefined; for 0 any free one. */
function findFreePort(port: number): Promise<number | undefined> {
  return new Promise((resolvePort) => {
    const probe = createServer();
    probe.once('error', () => resolvePort(undefined));
    probe.listen(port, '127.0.0.1', () => {
      const { port: found } = probe.address() as AddressInfo;
      probe.close(() => resolvePort(found));
    });
  });
}
