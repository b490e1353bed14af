/**
 * The PostgreSQL of a start without any configuration: a real server, from the binaries that came with
 * `npm ci`, in the data directory. It is a process of its own: it outlives a killed Node process, and the
 * next process on the same directory joins it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { EmbeddedPostgresError } from './binaries';
import { Cluster } from './cluster';
import { POLL_MS, Postmaster } from './postmaster';

export interface EmbeddedPostgresOptions {
  /** Holds the cluster in `postgres/` and the server's log in `postgres.log`; made if it is not there. */
  readonly dataDir: string;
  /** TCP port on 127.0.0.1. Default: the one of the last start, or a free one. */
  readonly port?: number;
}

export interface EmbeddedPostgres {
  /** Superuser's URL of the database `paidonce`. */
  readonly url: string;
  /** Stops the server, unless another process still uses it. Call it when all connections are closed. */
  stop(): Promise<void>;
}

const START_DEADLINE_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Delay before the next try to start a server that ended and could not be started again, ms. */
const RESTART_DELAY_MS = 1_000;

/**
 * Every process that uses the server holds this lock, shared. A process that gets it alone is the last one
 * and may stop the server. The lock of a killed process is gone with its connection.
 */
const USERS_LOCK = 0x7061_6964;

/**
 * Starts PostgreSQL on the data directory, or joins one that runs there already.
 * @throws EmbeddedPostgresError with a sentence for operators
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
  private readonly cluster: Cluster;
  private readonly postmaster: Postmaster;
  private readonly log: string;
  /** Known once the server has been joined; from then on it must come back on the same port. */
  private port: number | undefined;
  /** The connection that holds the users' lock. */
  private membership: Client | undefined;
  private stopping = false;

  constructor(
    private readonly dataDir: string,
    private readonly wantedPort: number | undefined,
  ) {
    this.log = join(dataDir, 'postgres.log');
    this.cluster = new Cluster(dataDir);
    this.postmaster = new Postmaster(this.cluster, this.log);
  }

  get url(): string {
    return `postgres://postgres:${this.cluster.password}@127.0.0.1:${this.port}/paidonce`;
  }

  /** Starts a server unless one runs, and becomes one of its users; repeats this until both worked. */
  async start(): Promise<void> {
    const deadline = performance.now() + START_DEADLINE_MS;
    let reason = '';
    while (performance.now() < deadline && !this.stopping) {
      try {
        if (this.postmaster.pid === undefined) {
          await this.postmaster.start(await this.choosePort());
        }
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

  async stop(): Promise<void> {
    this.stopping = true;
    const client = this.membership;
    this.membership = undefined;
    if (client === undefined) return;
    const { pid } = this.postmaster;
    const isLast = await client
      .query<{ last: boolean }>(
        'SELECT pg_advisory_unlock_shared($1), pg_try_advisory_lock($1) AS last',
        [USERS_LOCK],
      )
      .then(({ rows }) => rows[0]?.last === true)
      .catch(() => true);
    if (isLast && pid !== undefined) await this.postmaster.stop(pid);
    await client.end().catch(() => undefined);
  }

  /** Connects, makes the database if this is the first start, and takes the users' lock. */
  private async join(): Promise<void> {
    const { port } = this.postmaster;
    if (port === undefined) throw new Error('it is only just starting');
    const wanted = this.port ?? this.wantedPort ?? port;
    if (port !== wanted) throw new Error(`it runs on port ${port}, not on ${wanted}`);
    const client = new Client({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      password: this.cluster.password,
      database: 'postgres',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
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
    writeFileSync(this.portFile, String(port));
  }

  /** Starts a server that ended while it was needed. The pools connect again by themselves. */
  private restart(): void {
    if (this.stopping) return;
    this.membership = undefined;
    this.start().catch((error: Error) => {
      process.stderr.write(`${error.message}\n`);
      if (!this.stopping) setTimeout(() => this.restart(), RESTART_DELAY_MS).unref();
    });
  }

  /** The port of the last start if it is free, so that tools keep their connection. */
  private async choosePort(): Promise<number> {
    const fixed = this.port ?? this.wantedPort;
    if (fixed !== undefined) return fixed;
    const last = existsSync(this.portFile) ? Number(readFileSync(this.portFile, 'utf8')) : 0;
    return (await findFreePort(last)) ?? (await findFreePort(0)) ?? last;
  }

  private get portFile(): string {
    return join(this.dataDir, 'postgres.port');
  }
}

async function createDatabase(client: Client): Promise<void> {
  const { rowCount } = await client.query(`SELECT FROM pg_database WHERE datname = 'paidonce'`);
  if (rowCount !== 0) return;
  await client.query('CREATE DATABASE paidonce').catch((error: { code?: string }) => {
    // 42P04, 23505: another process has made it meanwhile.
    if (error.code !== '42P04' && error.code !== '23505') throw error;
  });
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
