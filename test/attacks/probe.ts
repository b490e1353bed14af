/** The harness's side of probe.cjs, and Linux's figures about the server's process. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { onceBefore } from '../support/eventually';

export interface Counts {
  /** Heads of requests that were parsed. */
  readonly heads: number;
  /** Requests that reached the application. */
  readonly begun: number;
  /** Connections that have sent a request and are not closed. */
  readonly alive: number;
  /** Responses of connections that are closed, which were neither sent nor let go. */
  readonly orphans: number;
  /** On one connection: most heads that were parsed and waited; most open; most begun. */
  readonly mostWaiting: number;
  readonly mostAtOnce: number;
  readonly mostBegun: number;
  /** Longest that the event loop was held, ms. */
  readonly heldMs: number;
}

export interface Memory {
  /** Resident, bytes. */
  readonly rss: number;
  /** What is alive: JavaScript's heap and the buffers outside it, bytes. */
  readonly used: number;
}

interface Totals {
  readonly begun: number;
  readonly heldMs: number;
  /** Bytes. */
  readonly highestRss: number;
}

const NOTHING: Totals = { begun: 0, heldMs: 0, highestRss: 0 };

/** Clock ticks a second, the unit of /proc/PID/stat. */
const TICKS = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout || 100);

export class Probe {
  #turn: Promise<unknown> = Promise.resolve();
  #past = NOTHING;

  private constructor(
    private readonly socket: Socket,
    private readonly pid: number,
  ) {}

  /** @param path the PROBE_SOCKET of the server that is process `pid` */
  static async open(path: string, pid: number): Promise<Probe> {
    const socket = connect(path);
    socket.setEncoding('utf8').on('error', () => undefined);
    await once(socket, 'connect');
    return new Probe(socket, pid);
  }

  counts(): Promise<Counts> {
    return this.ask('counts');
  }

  /** After a collection of garbage. */
  memory(): Promise<Memory> {
    return this.ask('memory');
  }

  /** Counts from zero, and the highest memory from what it is now; `totals` go on. */
  async reset(): Promise<void> {
    this.#past = await this.totals();
    await this.ask('reset');
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
  }

  /** What was counted since the start, `reset` or not. */
  async totals(): Promise<Totals> {
    const { begun, heldMs } = await this.counts();
    return {
      begun: this.#past.begun + begun,
      heldMs: Math.max(this.#past.heldMs, heldMs),
      highestRss: Math.max(this.#past.highestRss, this.highestRss),
    };
  }

  /** The totals begin here. */
  async begin(): Promise<void> {
    await this.reset();
    this.#past = NOTHING;
  }

  /** Resident memory, bytes: now, and the highest since the last `reset`. */
  get rss(): number {
    return this.status('VmRSS');
  }

  get highestRss(): number {
    return this.status('VmHWM');
  }

  /** Time that the process has had of the processors since its start, ms. */
  get cpuMs(): number {
    const [, numbers = ''] = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ');
    const [user, system] = numbers.split(' ').slice(11, 13).map(Number);
    return (((user ?? 0) + (system ?? 0)) * 1_000) / TICKS;
  }

  close(): void {
    this.socket.destroy();
  }

  private status(name: string): number {
    const text = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  }

  private ask<T>(order: string): Promise<T> {
    const asked = this.#turn.then(async () => {
      this.socket.write(`${order}\n`);
      const serverEnded = () => new Error('The server has ended.');
      const [text] = await onceBefore(this.socket, 'data', 'close', serverEnded);
      return JSON.parse(text as string) as T;
    });
    this.#turn = asked.catch(() => undefined);
    return asked;
  }
}
