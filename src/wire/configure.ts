/** Makes a Nest application on Fastify speak the wire format. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { discardUnreadBody, limitChunks, sendContinue } from './request/body-arrival';
import { checkHead, readUrl } from './request/request-head';
import { readBody } from './request/request-reader';
import { RouteTable } from './request/route-table';
import { setHeaders } from './response/response-headers';
import { newId } from './schema/ids';

export interface WireOptions {
  /** The largest accepted body. */
  readonly bodyLimitBytes: number;
  /**
   * Authenticates a request before its body is read. Its error becomes the response. Without it every
   * request is accepted.
   */
  readonly authenticate?: (request: FastifyRequest) => Promise<void> | undefined;
}

/**
 * Sets up how bodies and queries are read, who may send them, and the headers of every response. Call it before
 * `app.init()` or `app.listen()`. `wireProviders` adds the checks of parameters and the format of errors.
 */
export function configureWire(app: NestFastifyApplication, options: WireOptions): void {
  const routes = new RouteTable();
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRoute', ({ method, url }) => routes.add(method, url));
  fastify.setGenReqId(() => newId('req'));
  // Everything that can be refused without the body is refused here, before the body is read.
  fastify.addHook('onRequest', (request, reply, done) => {
    setHeaders(request, reply);
    const proceed = () => done(thrownBy(() => readUrl(request, routes)));
    let authenticated: Promise<void> | undefined;
    const refused = thrownBy(() => {
      checkHead(request);
      authenticated = options.authenticate?.(request);
    });
    if (refused) done(refused);
    else if (authenticated) authenticated.then(proceed, done);
    else proceed();
  });
  fastify.addHook('preParsing', (request, reply, _payload, done) => {
    sendContinue(request, reply);
    limitChunks(request);
    done();
  });
  fastify.addHook('onSend', (request, reply, payload, done) => {
    // Some responses come from hooks that run before ours. They get their headers here.
    setHeaders(request, reply);
    discardUnreadBody(request, reply);
    done(null, payload);
  });
  // Fastify's own parsers would read JSON and plain text without our checks.
  fastify.removeAllContentTypeParsers();
  app.useBodyParser('*', { bodyLimit: options.bodyLimitBytes }, (request, body, done) => {
    try {
      done(null, readBody(body, request.headers));
    } catch (error) {
      done(error as Error);
    }
  });
}

/** The error that `work` throws; undefined if it throws none. */
function thrownBy(work: () => void): Error | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
