/** Redis, which the jobs run on where it is configured, is killed, flushed and frozen. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import { AnswerWatch } from './answer-watch';
import { Load } from './load';
import { inWorld, type Run, type Scenario, Skipped, type Told } from './scenario';
import type { World } from './world';

export const redis: Scenario = {
  name: 'redis',
  about: 'Redis is killed, flushed and frozen under 8 clients, with the jobs on it',
  run: async (run) => {
    if (spawnSync('redis-server', ['--version']).status !== 0) {
      throw new Skipped('there is no redis-server on the PATH');
    }
    const server = await Redis.start();
    try {
      const env = { REDIS_URL: server.url };
      const acquirer = { latencyMs: 0, latencyMaxMs: 100 };
      return await inWorld(run, { acquirer, env }, (world) => disturb(world, server, run));
    } finally {
      await server.end();
    }
  },
};

async function disturb(world: World, server: Redis, { chance, long, say }: Run): Promise<Told> {
  await world.startWorker();
  const watch = new AnswerWatch();
  let sent = 0;
  let served = 0;
  world.clients.onSent = (one) => {
    watch.see(one);
    if (!one.answer) return;
    sent += 1;
    if (one.answer.status < 500) served += 1;
  };
  const load = new Load(world.clients, chance.fork(), { clients: 8 });
  let faults = 0;
  for (let round = 0; round < (long ? 20 : 1); round += 1) {
    for (const fault of ['kill', 'flush', 'freeze'] as const) {
      await pause(chance.between(500, 1_500));
      if (fault === 'kill') await server.restart();
      if (fault === 'flush') await server.say('FLUSHALL');
      if (fault === 'freeze') await server.freeze(3_000);
      faults += 1;
      say(`${fault}, ${world.clients.count} keys`);
    }
  }
  await pause(1_000);
  world.calm();
  await load.stop();
  const share = served / Math.max(1, sent);
  const findings = watch.findings.slice();
  if (share < 0.999) {
    findings.push({ rule: 'answers', what: `only ${(share * 100).toFixed(2)} % were served` });
  }
  return { faults, findings, notes: [`${(share * 100).toFixed(2)} % served`, watch.told] };
}

/** A Redis of our own. */
class Redis {
  #process?: ChildProcess;
  readonly #directory = mkdtempSync(join(tmpdir(), 'paidonce-redis-'));

  private constructor(private readonly port: number) {}

  static async start(): Promise<Redis> {
    const server = new Redis(await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async restart(): Promise<void> {
    await this.kill();
    await pause(1_000);
    await this.start();
  }

  async freeze(ms: number): Promise<void> {
    this.#process?.kill('SIGSTOP');
    await pause(ms);
    this.#process?.kill('SIGCONT');
  }

  /** Sends one inline command and waits for its answer. */
  async say(command: string): Promise<string> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      socket.write(`${command}\r\n`);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      return answer.toString();
    } finally {
      socket.destroy();
    }
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  private async kill(): Promise<void> {
    const ended = this.#process && once(this.#process, 'exit');
    this.#process?.kill('SIGKILL');
    await ended;
    this.#process = undefined;
  }

  private async start(): Promise<void> {
    const settings = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', ''];
    const rest = ['--dir', this.#directory, '--maxmemory-policy', 'noeviction'];
    this.#process = spawn('redis-server', [...settings, ...rest], { stdio: 'ignore' });
    const answers = () =>
      this.say('PING').then(
        (answer) => answer.startsWith('+PONG'),
        () => false,
      );
    await eventually('Redis answers', answers, 10_000);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
