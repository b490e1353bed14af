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
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    const redis = new Redis(port, mkdtempSync(join(tmpdir(), 'paidonce-redis-')));
    await redis.startAgain();
    return redis;
  }

  /** On the same port, and empty. */
  async startAgain(): Promise<void> {
    const settings = { port: this.port, bind: '127.0.0.1', dir: this.directory, save: '' };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#process = spawn('redis-server', args, { stdio: 'ignore' });
    await eventually('Redis listens', () =>
      this.command('PING').then((reply) => reply === '+PONG'),
    );
  }

  /** The first line of the reply to an inline command; empty where nobody answers. */
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
}
