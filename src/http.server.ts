/** Listening and draining, below what Nest and Fastify know of requests. */
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { OperatorError } from './process';
import type { Settings } from './settings';

export interface Listening {
  /** What to put into a client, e.g. `http://127.0.0.1:3000`. */
  readonly url: string;
  /** Takes no new connection, lets requests in flight finish, closes every connection. Bounded. */
  readonly drain: () => Promise<void>;
}

/** @throws OperatorError saying which setting to change where the address cannot be had */
export async function listen(app: NestFastifyApplication, settings: Settings): Promise<Listening> {
  const server = app.getHttpServer();
  const drain = drainable(server, settings.DRAIN_TIMEOUT_MS);
  try {
    await app.listen(settings.PORT, settings.HOST);
  } catch (error) {
    throw explained(error as NodeJS.ErrnoException, settings);
  }
  const { port, address, family } = server.address() as AddressInfo;
  const isEverywhere = address === '0.0.0.0' || address === '::';
  const host = isEverywhere ? '127.0.0.1' : family === 'IPv6' ? `[${address}]` : address;
  return { url: `http://${host}:${port}`, drain };
}

/**
 * Node keeps a connection open after its last request, and `server.close()` waits for it: answers
 * that are under way tell their client not to come back on it, and connections without one are
 * closed.
 */
function drainable(server: Server, timeoutMs: number): () => Promise<void> {
  const underWay = new Set<ServerResponse>();
  let draining = false;
  server.prependListener('request', (_request, response: ServerResponse) => {
    if (draining) response.shouldKeepAlive = false;
    underWay.add(response);
    response.once('close', () => {
      underWay.delete(response);
      if (draining) setImmediate(() => server.closeIdleConnections());
    });
  });
  return () =>
    new Promise((resolve) => {
      draining = true;
      for (const response of underWay) response.shouldKeepAlive = false;
      const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
      server.close(() => {
        clearTimeout(timer);
        resolve();
      });
    });
}

function explained(error: NodeJS.ErrnoException, { HOST, PORT }: Settings): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new OperatorError(
        `Port ${PORT} on ${HOST} is taken by another program: stop that one, or set PORT to another port (0 takes a free one).`,
      );
    case 'EACCES':
      return new OperatorError(
        `Port ${PORT} may not be opened by this user: set PORT to 1024 or above.`,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new OperatorError(`HOST ${HOST} is not an address of this machine.`);
    default:
      return error;
  }
}
