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
  #seal: Seal = passing;

  /** Whether the handler itself was reached: what pipes refuse is not stored (R14). */
  get entered(): boolean {
    return this.#entered;
  }

  /** Called by the decorated handler as its first act. */
  enter(): void {
    this.#entered = true;
  }

  /** From now on `seal` has the last word on the answer. */
  sealWith(seal: Seal): void {
    this.#seal = seal;
  }

  /** This goes out, whatever the rest of the pipeline makes. */
  answerWith(answer: Answer): void {
    this.#seal = () => Promise.resolve(answer);
  }

  /** The answer goes out as it is. */
  passOn(): void {
    this.#seal = passing;
  }

  /** Gives the answer to the seal, once: an error page sent after a failed send passes as it is. */
  leave(outgoing: OutgoingAnswer): Promise<Answer> {
    const seal = this.#seal;
    this.#seal = passing;
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

  /** Opens the exchange of this request: from here on its answer passes through it. */
  open(request: HttpRequest, response: object): Exchange {
    const exchange = new Exchange();
    exchanges.set(request, exchange);
    if (this.host.httpAdapter.getType() !== 'fastify') {
      holdNodeResponse(exchange, response as ServerResponse);
    }
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
  for (const [name, value] of Object.entries(answer.headers)) reply.header(name, value);
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
        for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
        response.setHeader('content-length', answer.body.length);
        return response.end(answer.body);
      },
      (error: Error) => response.destroy(error),
    );
    return response;
  }) as typeof response.end;
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
  const { pipe, getStream } = (value ?? {}) as { pipe?: unknown; getStream?: unknown };
  if (typeof pipe === 'function' || typeof getStream === 'function') {
    throw new IdempotencyAnswerUnstorableError('a stream');
  }
  return value;
}

/** The error of an answer that cannot be kept (R16). */
export function assertStorable(outgoing: OutgoingAnswer): void {
  if (outgoing.unstorable) throw new IdempotencyAnswerUnstorableError(outgoing.unstorable);
}
