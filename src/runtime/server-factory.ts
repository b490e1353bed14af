/** The HTTP server of the API: Node's, with limits on what one connection may cost. */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { isHeldBack, queueByConnection, waitsForHandler } from './connection-queue';
import { paceParsing } from './paced-parser';

/** Requests of one connection that run at once; the others wait for their turn. */
const MAX_RUNNING = 4;
/** Heads of requests of one connection that may wait. A slice that is parsed at once holds a hundred. */
const MAX_WAITING = 4_096;
/** Heads of all connections that may wait: about 20 MB. */
const MAX_WAITING_IN_ALL = 10_000;
/** A client that takes nothing of its response for this long (ms) loses the connection. */
const STALLED_TIMEOUT_MS = 60_000;

/** The options that Fastify gives to a `serverFactory` and that are used here. */
export interface HttpServerOptions {
  /** Options for Node's server. */
  readonly http?: ServerOptions;
  /** An idle connection is closed after this long, ms. */
  readonly keepAliveTimeout?: number;
  /** A request must have arrived in full after this long, ms. */
  readonly requestTimeout?: number;
}

/**
 * Makes the server; Fastify's `serverFactory`
 * (https://fastify.dev/docs/latest/Reference/Server/#serverfactory).
 */
export function createHttpServer(handler: RequestListener, options: HttpServerOptions): Server {
  const { http = {}, keepAliveTimeout, requestTimeout } = options;
  const limits = {
    maxRunning: MAX_RUNNING,
    maxWaiting: MAX_WAITING,
    maxWaitingInAll: MAX_WAITING_IN_ALL,
  };
  const server = createServer(
    {
      ...http,
      ...(keepAliveTimeout !== undefined && { keepAliveTimeout }),
      ...(requestTimeout !== undefined && { requestTimeout }),
    },
    queueByConnection(handler, limits),
  );
  // Node would drop what comes after 1,000 headers, a key among them. The size is bounded (16 KB), and
  // the application refuses a request with too many.
  server.maxHeadersCount = 0;
  server.on('connection', (socket) => paceParsing(socket, () => isHeldBack(socket)));
  server.setTimeout(STALLED_TIMEOUT_MS);
  server.on('timeout', (socket) => {
    if (!waitsForHandler(socket)) socket.destroy();
  });
  // The application handles these too: it sends `100 Continue` once it wants the body.
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  return server;
}
