/** What an attacker does to a port: connections, bytes on each, and what it makes of the responses. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { inLanes } from '../support/lanes';
import { type RawResponse, ResponseReader } from './response-reader';

/**
 * A piece of what one connection sends, or what it waits for before it goes on: all bytes so far have
 * left, a `100 Continue` or a response has come, so many ms.
 */
export type Part = TextPart | { readonly wait: 'sent' | 'continue' | 'response' | number };

/**
 * In the text `{n}` is the number of its repetition, `{n4}` the same in four characters, `{u3}` and
 * `{u4}` are characters of that number, of three and of four bytes; `{c}` is the connection's number.
 */
interface TextPart {
  readonly text: string;
  /** Default: once. */
  readonly times?: number;
}

export interface Raid {
  readonly connections: number;
  /** So many are open at a time. Default: all. */
  readonly atOnce?: number;
  readonly parts: readonly Part[];
  /** Default: always. */
  readonly reads?: 'always' | 'never' | 'when sent';
  /** It leaves when so many responses have come, when the server closes, or when its time is up. */
  readonly responses?: number;
  /** What the n-th response of a connection holds, `{n}` and `{n4}` replaced. */
  readonly marker?: string;
  /** The most time that one connection takes, ms. */
  readonly ms: number;
  /** Default: destroy. */
  readonly leave?: 'destroy' | 'reset';
  /** Connections that were served stay open until the next raid. */
  readonly hold?: boolean;
}

export interface RaidResult {
  /** Heads of requests, and bytes, that were sent. */
  requests: number;
  bytes: number;
  /** Of one connection, the most bytes that the server or the kernel took. */
  mostBytes: number;
  connections: number;
  /** Connections that got all responses that they waited for. */
  served: number;
  /** Connections that the server has closed; those among them, with the error, that broke. */
  closed: number;
  broken: Record<string, number>;
  /** Connections whose time was up. */
  timedOut: number;
  /** Responses by their status, and one body of each. */
  statuses: Record<string, number>;
  bodies: Record<string, string>;
  /** Responses that did not hold their marker. */
  misplaced: number;
  /** The time that the connections were open, ms. */
  shortestMs: number;
  longestMs: number;
}

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** What connections that were held do before the next raid. */
const held: (() => Promise<void>)[] = [];

/** Ends the connections of earlier raids that were held. */
export async function release(): Promise<void> {
  await Promise.all(held.splice(0).map((leave) => leave()));
}

/** Carries a raid out. Every connection ends by itself, unless it is held. */
export async function raid(target: Target, plan: Raid): Promise<RaidResult> {
  const numbers = Array.from({ length: plan.connections }, (_, at) => at);
  const storm = (number: number) => () => new Storm(target, plan, number).run();
  const storms = await inLanes(plan.atOnce ?? plan.connections, numbers.map(storm));
  return sumOf(storms, plan);
}

/** What one connection did and got. */
interface StormResult {
  readonly bytes: number;
  readonly responses: readonly RawResponse[];
  readonly end: 'served' | 'closed' | 'timed out';
  readonly error?: string;
  readonly openMs: number;
}

class Storm {
  readonly #socket: Socket;
  readonly #responses: RawResponse[] = [];
  readonly #over: Promise<StormResult['end']>;
  #end: (how: StormResult['end']) => void = () => undefined;
  #ended = false;
  #sent: Promise<unknown> = Promise.resolve();
  #error?: string;
  #onResponse: (() => void)[] = [];

  constructor(
    target: Target,
    private readonly plan: Raid,
    private readonly number: number,
  ) {
    this.#over = new Promise((resolve) => (this.#end = resolve));
    void this.#over.then(() => (this.#ended = true));
    const socket = connect(target);
    this.#socket = socket;
    socket.on('error', ({ code }: NodeJS.ErrnoException) => (this.#error = code));
    socket.once('close', () => this.#end('closed'));
    if ((plan.reads ?? 'always') === 'always') this.read();
  }

  async run(): Promise<StormResult> {
    const started = performance.now();
    const timer = setTimeout(() => this.#end('timed out'), this.plan.ms);
    await Promise.race([this.send(), this.#over]);
    if (this.plan.reads === 'when sent') this.read();
    const end = await this.#over;
    clearTimeout(timer);
    const openMs = performance.now() - started;
    const bytes = this.#socket.bytesWritten;
    if (this.plan.hold) held.push(() => this.leave());
    else await this.leave();
    const responses = this.#responses;
    return { bytes, responses, end, openMs, ...(this.#error && { error: this.#error }) };
  }

  private async leave(): Promise<void> {
    const closed = this.#socket.closed ? undefined : once(this.#socket, 'close');
    if (this.plan.leave === 'reset') this.#socket.resetAndDestroy();
    else this.#socket.destroy();
    await closed?.catch(() => undefined);
  }

  private read(): void {
    const reader = new ResponseReader((response) => {
      this.#responses.push(response);
      for (const heard of this.#onResponse.splice(0)) heard();
      const { responses: wanted = Infinity } = this.plan;
      if (this.#responses.filter(({ status }) => status >= 200).length >= wanted) {
        this.#end('served');
      }
    });
    this.#socket.on('data', (bytes) => reader.take(bytes));
  }

  private async send(): Promise<void> {
    for (const part of this.plan.parts) {
      if (this.#ended) return;
      if ('text' in part) {
        const text = textOf(part, this.number);
        this.#sent = new Promise((resolve) => this.#socket.write(text, () => resolve(undefined)));
      } else if (!(await this.goesOn(part.wait))) return;
    }
    await this.#sent;
    // One that waits for no response leaves when all was sent.
    if (this.plan.responses === undefined && this.plan.reads === 'never') this.#end('served');
  }

  /** @returns false where a final response came in place of the `100 Continue` that was waited for */
  private async goesOn(wait: (Part & { wait: unknown })['wait']): Promise<boolean> {
    if (typeof wait === 'number') await pause(wait);
    else if (wait === 'sent') await this.#sent;
    else {
      if (this.#responses.length === 0) {
        await new Promise<void>((resolve) => this.#onResponse.push(resolve));
      }
      if (wait === 'continue') return this.#responses[0]!.status === 100;
    }
    return true;
  }
}

/** The text of a part, kept where it is the same for every connection. */
const texts = new WeakMap<TextPart, string>();

function textOf(part: TextPart, connection: number): string {
  const { text, times = 1 } = part;
  const known = texts.get(part);
  if (known !== undefined) return known;
  const own = text.includes('{c}');
  const one = own ? text.replaceAll('{c}', String(connection)) : text;
  const all = /\{[nu]\d?\}/.test(one)
    ? Array.from({ length: times }, (_, n) => numbered(one, n)).join('')
    : one.repeat(times);
  if (!own) texts.set(part, all);
  return all;
}

/** What stands in braces in a `TextPart`, for its n-th repetition. */
export const numbered = (text: string, n: number): string =>
  text
    .replaceAll('{n}', String(n))
    .replaceAll('{n4}', n.toString(36).padStart(4, '0'))
    .replaceAll('{u3}', String.fromCodePoint(0x800 + (n % (0xd800 - 0x800))))
    .replaceAll('{u4}', String.fromCodePoint(0x10000 + (n % 0x100000)));

const headsIn = ({ parts }: Raid): number =>
  parts.reduce(
    (sum, part) =>
      sum + ('text' in part ? (part.text.split(' HTTP/1.').length - 1) * (part.times ?? 1) : 0),
    0,
  );

function sumOf(storms: readonly StormResult[], plan: Raid): RaidResult {
  const count = (of: (storm: StormResult) => boolean) => storms.filter(of).length;
  const broken: Record<string, number> = {};
  const statuses: Record<string, number> = {};
  const bodies: Record<string, string> = {};
  let misplaced = 0;
  for (const { error, responses } of storms) {
    if (error !== undefined) broken[error] = (broken[error] ?? 0) + 1;
    const final = responses.filter(({ status }) => status >= 200);
    for (const { status } of responses) statuses[status] = (statuses[status] ?? 0) + 1;
    for (const [n, { status, body }] of final.entries()) {
      bodies[status] ??= body;
      const { marker } = plan;
      if (marker !== undefined && !body.includes(numbered(marker, n))) misplaced += 1;
    }
  }
  const bytes = storms.map((storm) => storm.bytes);
  const open = storms.map(({ openMs }) => openMs);
  return {
    requests: headsIn(plan) * storms.length,
    bytes: bytes.reduce((sum, one) => sum + one, 0),
    mostBytes: Math.max(...bytes),
    connections: storms.length,
    served: count(({ end }) => end === 'served'),
    closed: count(({ end }) => end === 'closed'),
    broken,
    timedOut: count(({ end }) => end === 'timed out'),
    statuses,
    bodies,
    misplaced,
    shortestMs: Math.min(...open),
    longestMs: Math.max(...open),
  };
}
