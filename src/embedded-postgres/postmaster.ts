/** The server process of a cluster: starts it, finds it by its pid file, stops it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from './cluster';

const STOP_DEADLINE_MS = 10_000;
export const POLL_MS = 20;

/** A setting on the server's command line that no other process has: it identifies our server. */
const MARK = 'paidonce.cluster';

export class Postmaster {
  /** @param log path of the server's log */
  constructor(
    private readonly cluster: Cluster,
    private readonly log: string,
  ) {}

  /** The process that runs on this cluster, if one does. */
  get pid(): number | undefined {
    const pid = Number(this.pidFile()[0] ?? Number.NaN);
    return pid > 0 && this.isOurs(pid) ? pid : undefined;
  }

  /** The port of a server that runs; undefined while it is only just starting. */
  get port(): number | undefined {
    const port = Number(this.pidFile()[3]);
    return port > 0 ? port : undefined;
  }

  /**
   * Starts the server and waits until it is ready.
   *
   * @throws Error with the last line of its log where it ends before
   */
  async start(port: number): Promise<void> {
    this.removeStalePidFile();
    const log = openSync(this.log, 'a', 0o600);
    const { directory } = this.cluster;
    const child = spawn(
      this.cluster.program('postgres'),
      ['-D', this.cluster.directoryArgument(directory), ...this.settings(port)],
      // Detached: Ctrl-C in a terminal must not reach it, since requests still drain then.
      { ...this.cluster.spawnOptions(directory), detached: true, stdio: ['ignore', log, log] },
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

  /** Stops the server: a fast shutdown, and where that takes too long an immediate one. */
  async stop(pid: number): Promise<void> {
    signal(pid, 'SIGINT');
    if (await this.hasEnded(pid)) return;
    // The write-ahead log makes it safe.
    signal(pid, 'SIGQUIT');
    await this.hasEnded(pid);
  }

  /** As arguments of the command line. */
  private settings(port: number): string[] {
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
      // Only isOurs reads it.
      [MARK]: this.cluster.directory,
    };
    return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  }

  /** The lines of postmaster.pid: pid, directory, start, port, socket directory, address, memory, state. */
  private pidFile(): string[] {
    const file = this.pidFilePath();
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  }

  private pidFilePath(): string {
    return join(this.cluster.directory, 'postmaster.pid');
  }

  private isOurs(pid: number): boolean {
    try {
      const command =
        process.platform === 'linux'
          ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
          : spawnSync('ps', ['-ww', '-p', String(pid), '-o', 'command='], { encoding: 'utf8' })
              .stdout;
      return command.includes(`${MARK}=${this.cluster.directory}`);
    } catch {
      return false;
    }
  }

  /** After a power cut another process may have the old server's pid, and PostgreSQL would not start. */
  private removeStalePidFile(): void {
    const file = this.pidFilePath();
    if (existsSync(file) && this.pid === undefined) rmSync(file, { force: true });
  }

  private async hasEnded(pid: number): Promise<boolean> {
    const deadline = performance.now() + STOP_DEADLINE_MS;
    while (performance.now() < deadline) {
      if (!this.isOurs(pid)) return true;
      await sleep(POLL_MS);
    }
    return false;
  }

  private lastLogLine(): string {
    const lines = existsSync(this.log) ? readFileSync(this.log, 'utf8').trim().split('\n') : [];
    return lines.at(-1) ?? 'it ended without a word';
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}
