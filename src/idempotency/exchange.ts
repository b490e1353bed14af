/**
 * One request to an idempotent endpoint and the answer on its way out.
 *
 * What is stored must be what goes over the wire (R15), and only the wire has it: exception filters
 * run outside all interceptors, and other interceptors may stand outside ours. So the answer is held
 * at the last moment before it is sent, given to `seal`, and what `seal` returns is sent instead.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ServerResponse } from 'node:http';
import { IdempotencyAnswerUnstorableError } from './idempotency.errors';
import type { Answer, HttpRequest } from './idempotency.options';
import type { Phases } from './phases';

/** What is about to be sent; `unstorable` says why it cannot be kept (R16). */
export interface OutgoingAnswer extends Answer {
  readonly unstorable?: string;
}

/** Decides what is sent in place of `outgoing`; the same object sends it as it is. */
export type Seal = (outgoing: OutgoingAnswer) => Promise<Answer>;

/** A request between its key and its answer. */
export class Exchange {
  /** Set for a phased endpoint, for `@Phases()`. */
  phases?: Phases;
  #entered = false;
  #ended = false;
  #left = false;
  #seal: Seal = passing;
  #giveUp: () => Promise<void> = () => Promise.resolve();

  /** Whether the handler itself was reached: what pipes refuse is not stored (R14). */
  get entered(): boolean {
    return this.#entered;
  }

  /** Called by the decorated handler as its first act. */
  enter(): void {
    this.#entered = true;
  }

  /** Whether the answer is out, by whoever: nothing that is begun now would be sealed. */
  get left(): boolean {
    return this.#left;
  }

  /** Called when the handler's part of the pipeline is over. */
  end(): void {
    this.#ended = true;
  }

  /** From now on `seal` has the last word on the answer; `giveUp` ends what waits for it. */
  sealWith(seal: Seal, giveUp: () => Promise<void>): void {
    this.#seal = seal;
    this.#giveUp = giveUp;
  }

  /** This goes out, whatever the rest of the pipeline makes. */
  answerWith(answer: Answer): void {
    this.#seal = () => Promise.resolve(answer);
  }

  /** What waits for the answer ends without it: whatever goes out now goes out as it is. */
  giveUp(): Promise<void> {
    const giveUp = this.#giveUp;
    this.#giveUp = () => Promise.resolve();
    this.#seal = passing;
    this.#entered = false;
    this.#ended = false;
    return giveUp();
  }

  /** NestJS may send nothing to a client that left after the handler's observable had ended. */
  clientLeft(): void {
    if (this.#ended && !this.#left) void this.giveUp();
  }

  /** Gives the answer to the seal, once: an error page sent after a failed send passes as it is. */
  leave(outgoing: OutgoingAnswer): Promise<Answer> {
    const seal = this.#seal;
    this.#seal = passing;
    this.#left = true;
    return seal(outgoing);
  }

  /** Runs the handler's part of the pipeline so that the handler finds its exchange. */
  run<T>(work: () => T): T {
    return running.run(this, work);
  }
}

const passing: Seal = (outgoing) => Promise.resolve(outgoing);

const running = new AsyncLocalStorage<Exchange>();
const exchanges = new WeakMap<object, Exchange>();

/** The exchange whose handler is running. */
export const currentExchange = (): Exchange | undefined => running.getStore();

/** The exchange of a request, when its endpoint is idempotent and it went through the interceptor. */
export const exchangeOf = (request: object): Exchange | undefined => exchanges.get(request);

/** RFC 9110, 8.6: these have no body, and say no length. */
const WITHOUT_BODY = new Set([204, 304]);

/** Headers that describe a body: they go when another body is sent in its place. */
const OF_THE_BODY = /^(content-.*|etag|last-modified|location|link|set-cookie)$/;

/** Holds answers back on either HTTP adapter. */
@Injectable()
export class AnswerGate implements OnModuleInit {
  constructor(private readonly host: HttpAdapterHost) {}

  onModuleInit(): void {
    if (this.host.httpAdapter?.getType() !== 'fastify') return;
    this.host.httpAdapter
      .getInstance<FastifyInstance>()
      .addHook('onSend', (request, reply, payload, done) => {
        const exchange = exchangeOf(request);
        if (!exchange) return done(null, payload);
        leaveFastify(exchange, reply, payload).then(
          (sent) => done(null, sent),
          (error: Error) => done(error),
        );
      });
  }

  /**
   * Opens the exchange of this request: from here on its answer passes through it. An interceptor
   * outside of ours that tries again comes here again: what its first try left open is given up.
   */
  async open(request: HttpRequest, response: object): Promise<Exchange> {
    const earlier = exchanges.get(request);
    if (earlier) {
      await earlier.giveUp();
      return earlier;
    }
    const exchange = new Exchange();
    exchanges.set(request, exchange);
    const raw = (response as { raw?: ServerResponse }).raw ?? (response as ServerResponse);
    raw.once('close', () => exchange.clientLeft());
    if (this.host.httpAdapter.getType() !== 'fastify') holdNodeResponse(exchange, raw);
    return exchange;
  }
}

/** Fastify: the `onSend` hook sees the serialised payload, before compression plugins do. */
async function leaveFastify(exchange: Exchange, reply: FastifyReply, payload: unknown) {
  const text = typeof payload === 'string' || Buffer.isBuffer(payload);
  const outgoing: OutgoingAnswer = {
    status: reply.statusCode,
    headers: flat(reply.getHeaders()),
    body: text ? Buffer.from(payload as string) : Buffer.alloc(0),
    unstorable: text || payload === undefined || payload === null ? undefined : 'a stream',
  };
  const answer = await exchange.leave(outgoing);
  if (answer.body !== outgoing.body) {
    for (const name of Object.keys(outgoing.headers)) {
      if (OF_THE_BODY.test(name)) reply.removeHeader(name);
    }
  }
  reply.code(answer.status);
  for (const [name, value] of changed(answer, outgoing)) reply.header(name, value);
  return answer.body === outgoing.body ? payload : answer.body;
}

/** Express: `res.end` is the last call of every way to answer; what was written before is kept. */
function holdNodeResponse(exchange: Exchange, response: ServerResponse): void {
  const write = response.write.bind(response);
  const end = response.end.bind(response);
  const chunks: Buffer[] = [];
  const keep = (chunk: unknown, encoding?: unknown) => {
    if (chunk === undefined || chunk === null || typeof chunk === 'function') return;
    chunks.push(
      typeof chunk === 'string'
        ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
        : Buffer.from(chunk as Uint8Array),
    );
  };
  response.write = ((chunk: unknown, encoding?: unknown) => {
    keep(chunk, encoding);
    return true;
  }) as typeof response.write;
  response.end = ((chunk?: unknown, encoding?: unknown) => {
    keep(chunk, encoding);
    Object.assign(response, { write, end });
    const outgoing: OutgoingAnswer = {
      status: response.statusCode,
      headers: flat(response.getHeaders()),
      body: Buffer.concat(chunks),
      unstorable: response.headersSent ? 'a stream' : undefined,
    };
    void exchange.leave(outgoing).then(
      (answer) => {
        if (response.headersSent) return response.end(outgoing.body);
        if (answer.body !== outgoing.body) {
          for (const name of Object.keys(outgoing.headers)) {
            if (OF_THE_BODY.test(name)) response.removeHeader(name);
          }
        }
        response.statusCode = answer.status;
        for (const [name, value] of changed(answer, outgoing)) response.setHeader(name, value);
        if (!WITHOUT_BODY.has(answer.status)) {
          response.setHeader('content-length', answer.body.length);
        }
        return response.end(answer.body);
      },
      (error: Error) => response.destroy(error),
    );
    return response;
  }) as typeof response.end;
}

/**
 * The headers to set. One that stands there already is left alone: cookies are several, and would
 * be sent twice or run into one.
 */
function changed(answer: Answer, outgoing: OutgoingAnswer): [string, string][] {
  const same = answer.body === outgoing.body;
  return Object.entries(answer.headers).filter(
    ([name, value]) => !same || outgoing.headers[name] !== value,
  );
}

function flat(headers: object): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name.toLowerCase()] = String(value);
  }
  return result;
}

/** @throws IdempotencyAnswerUnstorableError for what cannot be kept; hands back anything else (R16) */
export function refuseStreams<T>(value: T): T {
  if (typeof value === 'object' && value !== null && isStream(value)) {
    throw new IdempotencyAnswerUnstorableError('a stream');
  }
  return value;
}

/** Everything that NestJS sends piece by piece. */
function isStream(value: object): boolean {
  const { pipe, getStream, getReader } = value as Record<string, unknown>;
  return (
    [pipe, getStream, getReader].some((method) => typeof method === 'function') ||
    Symbol.asyncIterator in value ||
    value instanceof Response
  );
}

/** The error of an answer that cannot be kept (R16). */
export function assertStorable(outgoing: OutgoingAnswer): void {
  if (outgoing.unstorable) throw new IdempotencyAnswerUnstorableError(outgoing.unstorable);
}
