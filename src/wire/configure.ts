import { Global, Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { InvalidRequestError } from './api.errors';
import { WireErrorFilter } from './error.filter';
import { Expander } from './expand';
import type { ReusedStatus } from './idempotency.answer';
import { newId } from './ids';
import { isSafeText, readBody, readQuery } from './request.reader';
import { RouteTable } from './route.table';
import { WireValidationPipe } from './validation.pipe';

/** The version of Stripe's API whose objects these are: that of npm `stripe` 23.1. */
export const API_VERSION = '2026-10-28.endive';

/** What modules share at run time. */
@Global()
@Module({ providers: [Expander], exports: [Expander] })
export class WireModule {}

export interface WireOptions {
  /** Largest body accepted, in bytes. */
  readonly bodyLimitBytes: number;
  /** Status of a reused idempotency key where an `IdempotencyError` reaches the filter. */
  readonly reusedStatus?: ReusedStatus;
}

/**
 * Options for the FastifyAdapter of an application that speaks the wire format: what Fastify
 * refuses before any hook or filter of the application runs, a URL that does not parse, is answered
 * in the envelope too.
 */
export const wireServerOptions = {
  // An idempotency key of 255 characters, each percent-encoded, is one path parameter.
  routerOptions: { maxParamLength: 3 * 255 },
  frameworkErrors: (_error: Error, request: FastifyRequest, reply: FastifyReply): void => {
    setHeaders(request, reply);
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
  fastify.addHook('onRequest', (request, reply, done) => {
    setHeaders(request, reply);
    try {
      readUrl(request);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  // Answers that other hooks gave before ours could run have their headers from here.
  fastify.addHook('onSend', (request, reply, payload, done) => {
    setHeaders(request, reply);
    done(null, payload);
  });
  // Fastify's own parsers go first: they would read JSON and plain text past the checks.
  fastify.removeAllContentTypeParsers();
  app.useBodyParser('*', { bodyLimit: options.bodyLimitBytes }, (request, body, done) => {
    try {
      done(null, readBody(body, request.headers['content-type']));
    } catch (error) {
      done(error as Error);
    }
  });
  app.useGlobalPipes(new WireValidationPipe());
  app.useGlobalFilters(new WireErrorFilter(routes, options.reusedStatus));
}

function setHeaders(request: FastifyRequest, reply: FastifyReply): void {
  if (reply.hasHeader('request-id')) return;
  const version = request.headers['stripe-version'];
  const known = typeof version === 'string' && /^[\w.;=-]{1,100}$/.test(version);
  reply.header('request-id', request.id).header('stripe-version', known ? version : API_VERSION);
}

/** The query as parameters, under the same rules as a body; ids in the path must be storable. */
function readUrl(request: FastifyRequest): void {
  const mark = request.url.indexOf('?');
  request.query = mark < 0 ? {} : readQuery(request.url.slice(mark + 1));
  const ids = Object.values((request.params ?? {}) as Record<string, string>);
  if (ids.every(isSafeText)) return;
  throw new InvalidRequestError('The URL holds a character no id has. Check the id.', {}, 404);
}
