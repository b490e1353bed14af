/** Makes an HTTP server listen, and drains it before the process ends. */
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { OperatorError } from './operator-error';
import { urlOfAddress, PublicUrl } from './public-url';
import type { Settings } from './settings';

export interface Listening {
  /** What to put into a client, e.g. `http://127.0.0.1:3000`. */
  readonly url: string;
  /** Takes no new connection, lets requests in flight finish, closes every connection. Bounded. */
  readonly drain: () => Promise<void>;
}

/** @throws OperatorError saying which setting to change where the address cannot be had */
export async function listen(app: NestFastifyApplication, settings: Settings): Promise<Listening> {
  const { HOST: host, PORT: port, DRAIN_TIMEOUT_MS } = settings;
  const address = { host, port, settings: { host: 'HOST', port: 'PORT' } };
  const server = app.getHttpServer();
  const listening = await listenOn(server, () => app.listen(port, host), address, DRAIN_TIMEOUT_MS);
  app.get(PublicUrl).listensAt(listening.url);
  return listening;
}

/** Where to listen, and the settings that say so. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  readonly settings: { readonly host: string; readonly port: string };
}

/**
 * The same for any server that `start` makes listen on that address.
 * @throws OperatorError saying which setting to change where the address cannot be had
 */
export async function listenOn(
  server: Server,
  start: () => Promise<unknown>,
  where: ListenAddress,
  drainTimeoutMs: number,
): Promise<Listening> {
  const drain = drainable(server, drainTimeoutMs);
  try {
    await start();
  } catch (error) {
    throw explainListenError(error as NodeJS.ErrnoException, where);
  }
  const { port, address } = server.address() as AddressInfo;
  return { url: urlOfAddress(address, port), drain };
}

/**
 * Node keeps a connection open after its last request, and `server.close()` waits for it. So responses
 * in flight tell their client to close the connection, and idle connections are closed.
 */
function drainable(server: Server, timeoutMs: number): () => Promise<void> {
  const inFlight = new Set<ServerResponse>();
  let draining = false;
  server.prependListener('request', (_request, response: ServerResponse) => {
    // Internals: keep-alive
    if (draining) response.shouldKeepAlive = false;
    inFlight.add(response);
    response.once('close', () => {
      inFlight.delete(response);
      if (draining) setImmediate(() => server.closeIdleConnections());
    });
  });
  return () =>
    new Promise((resolve) => {
      draining = true;
      for (const response of inFlight) response.shouldKeepAlive = false;
      const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
      server.close(() => {
        clearTimeout(timer);
        resolve();
      });
    });
}

function explainListenError(
  error: NodeJS.ErrnoException,
  { host, port, settings }: ListenAddress,
): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new OperatorError(
        `Port ${port} on ${host} is taken by another program: stop that one, or set ${settings.port} to another port (0 takes a free one).`,
      );
    case 'EACCES':
      return new OperatorError(
        `Port ${port} may not be opened by this user: set ${settings.port} to 1024 or above.`,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new OperatorError(`${settings.host} ${host} is not an address of this machine.`);
    default:
      return error;
  }
}
