/** Options of the Fastify server of an application that speaks the wire format. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { createHttpServer } from '../runtime';
import { InvalidRequestError } from './errors/api.errors';
import { refuseOnSocket } from './errors/socket-errors';
import { discardUnreadBody } from './request/body-arrival';
import { setHeaders } from './response/response-headers';

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
    discardUnreadBody(request, reply);
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
