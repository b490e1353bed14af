/** Options of the Fastify server of an application that speaks the wire format. */
import type { Duplex } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { createHttpServer } from '../runtime';
import { InvalidRequestError } from './errors/api.errors';
import { type ErrorLink, noErrorLink } from './errors/error-table';
import { refuseOnSocket } from './errors/socket-errors';
import { discardUnreadBody } from './request/body-arrival';
import { setHeaders } from './response/response-headers';

/**
 * Options for the FastifyAdapter. With them, errors before the first hook of the application (bytes that
 * are not HTTP, a URL that does not parse) are in Stripe's format too.
 *
 * @param errorLink makes `doc_url`; by default errors have none
 */
export function wireServerOptions(errorLink: ErrorLink = noErrorLink) {
  return {
    // An idempotency key is one path parameter: 255 characters, each percent-encoded.
    routerOptions: { maxParamLength: 3 * 255 },
    // Node's own response to a request without Host has no body, so `request-head.ts` refuses it instead.
    http: { requireHostHeader: false },
    serverFactory: createHttpServer,
    clientErrorHandler: (error: Error & { code?: string }, socket: Duplex): void =>
      refuseOnSocket(error, socket, errorLink),
    frameworkErrors: (_error: Error, request: FastifyRequest, reply: FastifyReply): void => {
      setHeaders(request, reply);
      discardUnreadBody(request, reply);
      const refusal = new InvalidRequestError(
        'The URL is malformed: ids stand in it as they are, and other characters percent-encoded.',
      );
      void reply
        .code(refusal.status)
        .header('content-type', 'application/json; charset=utf-8')
        .serializer(String)
        .send(JSON.stringify(refusal.toWire(errorLink)));
    },
  };
}
