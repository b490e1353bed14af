import { Global, Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { createHttpServer } from '../runtime';
import { InvalidRequestError, shown } from './errors/api.errors';
import { API_VERSION } from './schema/api-version';
import { askForBody, boundPieces, discardRest } from './request/body-arrival';
import { WireErrorFilter } from './errors/error.filter';
import { Expander } from './response/expand';
import type { ReusedStatus } from './errors/idempotency-error.wire';
import { newId } from './schema/ids';
import { isSafeText, readBody, readQuery, refuseCardNumberInPath } from './request/request-reader';
import { RouteTable } from './request/route-table';
import { refuseOnSocket } from './errors/socket-errors';
import { WireValidationPipe } from './request/validation.pipe';

/** What modules share at run time. */
@Global()
@Module({ providers: [Expander], exports: [Expander] })
export class WireModule {}

export interface WireOptions {
  /** Largest body accepted, in bytes. */
  readonly bodyLimitBytes: number;
  /** Status of a reused idempotency key where an `IdempotencyError` reaches the filter. */
  readonly reusedStatus?: ReusedStatus;
  /**
   * Finds out who is asking, before anything is read of the body. What it throws is the answer.
   * Without it nobody is asked.
   */
  readonly authenticate?: (request: FastifyRequest) => Promise<void> | undefined;
}

/** Most headers of a request. Node reads them all; what it might drop could be the key. */
const MAX_HEADERS = 200;

/**
 * Options for the FastifyAdapter of an application that speaks the wire format: what Fastify
 * refuses before any hook or filter of the application runs, a URL that does not parse, is answered
 * in the envelope too.
 */
export const wireServerOptions = {
  // An idempotency key of 255 characters, each percent-encoded, is one path parameter.
  routerOptions: { maxParamLength: 3 * 255 },
  // Node's own answer to a request without Host has no body; `requireSoundHead` refuses it instead.
  http: { requireHostHeader: false },
  serverFactory: createHttpServer,
  clientErrorHandler: refuseOnSocket,
  frameworkErrors: (_error: Error, request: FastifyRequest, reply: FastifyReply): void => {
    setHeaders(request, reply);
    discardRest(request, reply);
    const refusal = new InvalidRequestError(
      'The URL is malformed: ids stand in it as they are, and other characters percent-encoded.',
    );
    void reply
      .code(refusal.status)
      .header('content-type', 'application/json; charset=utf-8')
      .serializer(String)
      .send(JSON.stringify(refusal.toWire()));
  },
} as const;

/**
 * Makes an application speak the wire format: how bodies and queries are read, checked and refused,
 * how errors look, and the headers every answer has. Call it before `app.init()` or `app.listen()`.
 */
export function configureWire(app: NestFastifyApplication, options: WireOptions): void {
  const routes = new RouteTable();
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRoute', ({ method, url }) => routes.add(method, url));
  fastify.setGenReqId(() => newId('req'));
  // Everything that can be refused without the body is refused here, before it is read.
  fastify.addHook('onRequest', (request, reply, done) => {
    setHeaders(request, reply);
    const goOn = () => done(thrownBy(() => readUrl(request, routes)));
    let asked: Promise<void> | undefined;
    const refused = thrownBy(() => {
      requireSoundHead(request);
      asked = options.authenticate?.(request);
    });
    if (refused) done(refused);
    else if (asked) asked.then(goOn, done);
    else goOn();
  });
  fastify.addHook('preParsing', (request, reply, _payload, done) => {
    askForBody(request, reply);
    boundPieces(request);
    done();
  });
  fastify.addHook('onSend', (request, reply, payload, done) => {
    // Answers that other hooks gave before ours could run have their headers from here.
    setHeaders(request, reply);
    discardRest(request, reply);
    done(null, payload);
  });
  // Fastify's own parsers go first: they would read JSON and plain text past the checks.
  fastify.removeAllContentTypeParsers();
  app.useBodyParser('*', { bodyLimit: options.bodyLimitBytes }, (request, body, done) => {
    try {
      done(null, readBody(body, request.headers));
    } catch (error) {
      done(error as Error);
    }
  });
  app.useGlobalPipes(new WireValidationPipe());
  app.useGlobalFilters(new WireErrorFilter(options.reusedStatus));
}

function setHeaders(request: FastifyRequest, reply: FastifyReply): void {
  if (reply.hasHeader('request-id')) return;
  const version = request.headers['stripe-version'];
  const known = typeof version === 'string' && /^[\w.;=-]{1,100}$/.test(version);
  reply.header('request-id', request.id).header('stripe-version', known ? version : API_VERSION);
}

/** The error that `work` throws, if it does. */
function thrownBy(work: () => void): Error | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/** The number of headers, Host (RFC 9112, 3.2) and Expect (RFC 9110, 10.1.1). */
function requireSoundHead({ raw, headers }: FastifyRequest): void {
  const count = raw.rawHeaders.length / 2;
  if (count > MAX_HEADERS) {
    throw new InvalidRequestError(
      `This request has ${count} headers; at most ${MAX_HEADERS} are accepted. Send fewer.`,
      {},
      431,
    );
  }
  if (raw.httpVersion === '1.0') return;
  if (headers.host === undefined) {
    throw new InvalidRequestError('This request has no Host header. HTTP/1.1 asks for one.');
  }
  if (headers.expect === undefined || /^100-continue$/i.test(headers.expect)) return;
  throw new InvalidRequestError(
    `Expect: ${shown(headers.expect)} cannot be met. Send 100-continue, or leave the header out.`,
    {},
    417,
  );
}

/** The query as parameters, under the same rules as a body; ids in the path must be storable. */
function readUrl(request: FastifyRequest, routes: RouteTable): void {
  const mark = request.url.indexOf('?');
  request.query = mark < 0 ? {} : readQuery(request.url.slice(mark + 1));
  if (request.is404) throw routes.unknown(request);
  refuseQuery(request);
  const params = (request.params ?? {}) as Record<string, string>;
  if (params['id'] === 'search') throw searchRefused(request);
  if (!Object.values(params).every(isSafeText)) {
    throw new InvalidRequestError('The URL holds a character no id has. Check the id.', {}, 404);
  }
  refuseCardNumberInPath(params);
}

/** Only what reads has a query: one that changes something has its parameters in its body. */
function refuseQuery({ method, query }: FastifyRequest): void {
  const [name] = Object.keys(query as Record<string, unknown>);
  if (name === undefined || method === 'GET' || method === 'HEAD') return;
  const param = name.slice(0, 100);
  throw new InvalidRequestError(
    `Received unknown parameter in the URL: ${param}. Parameters of a ${method} stand in its body, ` +
      'and this request was not carried out.',
    { code: 'parameter_unknown', param },
  );
}

/** `search` is no id: a client that asks for it must not hear that an object is missing. */
function searchRefused({ method, url }: FastifyRequest): InvalidRequestError {
  const path = url.split('?', 1)[0] ?? '';
  const list = path.slice(0, path.lastIndexOf('/'));
  return new InvalidRequestError(
    `Unrecognized request URL (${method}: ${shown(path)}). Search is not offered: list with GET ` +
      `${shown(list)} and its filters instead.`,
    {},
    404,
  );
}
