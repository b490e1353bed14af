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
import { IdempotencyAnswerUnstorableError } from '../contract/idempotency.errors';
import type { Answer, HttpRequest } from '../contract/idempotency.options';
import type { Phases } from '../attempts/phased-attempt';

/** What is about to be sent; `unstorable` says why it cannot be kept (R16). */
export interface OutgoingAnswer extends Omit<Answer, 'headers'> {
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>;
  readonly unstorable?: string;
}

/** What becomes of an answer: it is sent with more headers, or another in its place. */
export type Sealed =
  { readonly with: Readonly<Record<string, string>> } | { readonly instead: Answer };

/** Has the last word on an answer. */
export type Seal = (outgoing: OutgoingAnswer) => Promise<Sealed>;

/** A request between its key and its answer. */
export class Exchange {
  /** Set for a phased endpoint, for `@Phases()`. */
  phases?: Phases;
  #entered = false;
  #ended = false;
  #left = false;
  #seal: Seal = passing;
  #instead?: Answer;
  #giveUp: () => Promise<void> = () => Promise.resolve();
  #heard = false;

  constructor(private readonly response: ServerResponse) {}

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
    if (!this.#heard) this.response.once('close', () => this.clientLeft());
    this.#heard = true;
  }

  /** This goes out, whatever the rest of the pipeline makes. */
  answerWith(answer: Answer): void {
    this.#instead = answer;
  }

  /** What waits for the answer ends without it: whatever goes out now goes out as it is. */
  giveUp(): Promise<void> {
    const giveUp = this.#giveUp;
    this.#giveUp = () => Promise.resolve();
    this.#seal = passing;
    this.#instead = undefined;
    this.#entered = false;
    this.#ended = false;
    return giveUp();
  }

  /**
   * Gives the answer to the seal, once: an error page sent after a failed send passes as it is.
   *
   * @returns at once where nothing is left to be decided
   */
  leave(outgoing: () => OutgoingAnswer): Sealed | Promise<Sealed> {
    const seal = this.#seal;
    const instead = this.#instead;
    this.#seal = passing;
    this.#instead = undefined;
    this.#left = true;
    return instead ? { instead } : seal(outgoing());
  }

  /** Runs the handler's part of the pipeline so that the handler finds its exchange. */
  run<T>(work: () => T): T {
    return running.run(this, work);
  }

  /** NestJS may send nothing to a client that left after the handler's observable had ended. */
  private clientLeft(): void {
    if (this.#ended && !this.#left) void this.giveUp();
  }
}

const passing: Seal = () => Promise.resolve({ with: {} });

const running = new AsyncLocalStorage<Exchange>();

/** The exchange whose handler is running. */
export const currentExchange = (): Exchange | undefined => running.getStore();

/** The exchange of a request, when its endpoint is idempotent and it went through the interceptor. */
export const exchangeOf = (request: object): Exchange | undefined =>
  (request as WithExchange)[EXCHANGE];

/** Kept on the request: every collection of garbage would have to look through a WeakMap. */
const EXCHANGE = Symbol('paidonce:exchange');
interface WithExchange {
  [EXCHANGE]?: Exchange;
}

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
        const sealed = exchange.leave(() => outgoingOf(reply, payload));
        if (!(sealed instanceof Promise)) return done(null, sendFastify(reply, payload, sealed));
        sealed.then(
          (decided) => done(null, sendFastify(reply, payload, decided)),
          (error: Error) => done(error),
        );
      });
  }

  /**
   * Opens the exchange of this request: from here on its answer passes through it. An interceptor
   * outside of ours that tries again comes here again: what its first try left open is given up.
   */
  open(request: HttpRequest, response: object): Exchange | Promise<Exchange> {
    const earlier = exchangeOf(request);
    if (earlier) return earlier.giveUp().then(() => earlier);
    const raw = (response as { raw?: ServerResponse }).raw ?? (response as ServerResponse);
    const exchange = new Exchange(raw);
    (request as WithExchange)[EXCHANGE] = exchange;
    if (this.host.httpAdapter.getType() !== 'fastify') holdNodeResponse(exchange, raw);
    return exchange;
  }
}

/** Fastify: the `onSend` hook sees the serialised payload, before compression plugins do. */
function outgoingOf(reply: FastifyReply, payload: unknown): OutgoingAnswer {
  const { statusCode: status } = reply;
  const headers = reply.getHeaders();
  if (typeof payload === 'string') return { status, headers, body: payload };
  if (Buffer.isBuffer(payload)) return { status, headers, body: Buffer.from(payload) };
  const empty = payload === undefined || payload === null;
  return { status, headers, body: '', unstorable: empty ? undefined : 'a stream' };
}

/** @returns the payload to send */
function sendFastify(reply: FastifyReply, payload: unknown, sealed: Sealed): unknown {
  if ('with' in sealed) {
    reply.headers(sealed.with);
    return payload;
  }
  for (const name of Object.keys(reply.getHeaders())) {
    if (OF_THE_BODY.test(name)) reply.removeHeader(name);
  }
  const { status, headers, body } = sealed.instead;
  reply.code(status).headers(headers);
  return body;
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
    const body = Buffer.concat(chunks);
    const outgoing: OutgoingAnswer = {
      status: response.statusCode,
      headers: response.getHeaders(),
      body,
      unstorable: response.headersSent ? 'a stream' : undefined,
    };
    void Promise.resolve(exchange.leave(() => outgoing)).then(
      (sealed) => sendNode(response, body, sealed),
      (error: Error) => response.destroy(error),
    );
    return response;
  }) as typeof response.end;
}

function sendNode(response: ServerResponse, payload: Buffer, sealed: Sealed): void {
  if (response.headersSent) return void response.end(payload);
  if ('instead' in sealed) {
    for (const name of response.getHeaderNames()) {
      if (OF_THE_BODY.test(name)) response.removeHeader(name);
    }
    response.statusCode = sealed.instead.status;
  }
  const { headers, body } =
    'instead' in sealed ? sealed.instead : { headers: sealed.with, body: payload };
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (!WITHOUT_BODY.has(response.statusCode)) {
    response.setHeader('content-length', Buffer.byteLength(body));
  }
  response.end(body);
}

/** Whether NestJS would send this piece by piece, so that it cannot be kept (R16). */
export function isStream(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { pipe, getStream, getReader } = value as Record<string, unknown>;
  return (
    typeof pipe === 'function' ||
    typeof getStream === 'function' ||
    typeof getReader === 'function' ||
    Symbol.asyncIterator in value ||
    value instanceof Response
  );
}

/** The error of an answer that cannot be kept (R16). */
export function assertStorable(outgoing: OutgoingAnswer): void {
  if (outgoing.unstorable) throw new IdempotencyAnswerUnstorableError(outgoing.unstorable);
}
