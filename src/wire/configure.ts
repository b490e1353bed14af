/** Makes a Nest application on Fastify speak the wire format. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { discardUnreadBody, receiveBody } from './request/body-arrival';
import { type Authenticate, refuseByHead } from './request/request-head';
import { parseBody } from './request/request-reader';
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
  readonly authenticate?: Authenticate;
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
  fastify.addHook('onRequest', setHeaders);
  fastify.addHook('onRequest', refuseByHead(routes, options.authenticate));
  fastify.addHook('preParsing', receiveBody);
  fastify.addHook('onSend', (request, reply, payload, done) => {
    // Some responses come from hooks that run before ours. They get their headers here.
    setHeaders(request, reply);
    discardUnreadBody(request, reply);
    done(null, payload);
  });
  // Fastify's own parsers would read JSON and plain text without our checks.
  fastify.removeAllContentTypeParsers();
  app.useBodyParser('*', { bodyLimit: options.bodyLimitBytes }, parseBody);
}
