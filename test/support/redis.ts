/** A Redis of a test's own, from the PATH: a free port, nothing on disk. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually';

/** Tests on Redis are reported as skipped without one, but CI must have it. */
export const hasRedis =
  process.env.CI === 'true' || spawnSync('redis-server', ['--version']).status === 0;

export class Redis {
  readonly url: string;
  #process?: ChildProcess;

  private constructor(
    private readonly port: number,
    private readonly directory: string,
  ) {
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start(): Promise<Redis> {
    const directory = mkdtempSync(join(tmpdir(), 'paidonce-redis-'));
    for (;;) {
      const redis = new Redis(await freePort(), directory);
      // The port may have been taken since it was free.
      if (await redis.listens()) return redis;
    }
  }

  /** On the same port, and empty. */
  async startAgain(): Promise<void> {
    await eventually('Redis has its port again', () => this.listens());
  }

  /** The reply to an inline command; empty without a connection. */
  async command(command: string): Promise<string> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      socket.write(`${command}\r\n`);
      const [reply] = (await once(socket, 'data')) as [Buffer];
      return reply.toString().trim();
    } catch {
      return '';
    } finally {
      socket.destroy();
    }
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  async kill9(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill9();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Starts the process. True once it replies on the port, false where it ends instead. */
  private async listens(): Promise<boolean> {
    const settings = { port: this.port, bind: '127.0.0.1', dir: this.directory, save: '' };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = spawn('redis-server', args, { stdio: 'ignore' });
    this.#process = child;
    const own = `process_id:${child.pid}\r`;
    await eventually('Redis replies or ends', async () => {
      return child.exitCode !== null || (await this.command('INFO server')).includes(own);
    });
    return child.exitCode === null;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
