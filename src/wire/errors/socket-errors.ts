/**
 * Errors of requests that Node refuses before they reach Fastify: bytes that are not HTTP, or headers over
 * the limit. Their responses have Stripe's format too.
 */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { awaitsResponse, isHeldBack } from '../../runtime';
import { InvalidRequestError } from './api.errors';
import { type ErrorLink, noErrorLink } from './error-table';
import { API_VERSION } from '../schema/api-version';
import { newId } from '../schema/ids';

/**
 * Fastify's `clientErrorHandler`. If an earlier request on the connection still waits for its response, the
 * connection is closed without one: the client would take a 400 for the response to that request, which
 * may still be carried out.
 */
export function refuseOnSocket(
  error: Error & { code?: string },
  socket: Duplex,
  errorLink: ErrorLink = noErrorLink,
): void {
  // The server itself holds this request back, so the client is not late.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isHeldBack(socket)) return;
  if (socket.writable && !awaitsResponse(socket) && error.code !== 'ECONNRESET') {
    const [status, message] = SOCKET_ERRORS[error.code ?? ''] ?? NOT_HTTP;
    const { head, body } = errorResponse(status, message, errorLink);
    const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
  }
  socket.destroy(error);
}

type SocketError = readonly [status: number, message: string];

const NOT_HTTP: SocketError = [
  400,
  'This is not an HTTP/1.1 request. Check its first line, its headers and its Content-Length.',
];

/** By the code of Node's error. */
const SOCKET_ERRORS: Readonly<Record<string, SocketError>> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'The headers of this request are too large. Send fewer or shorter ones.',
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [
    413,
    'The chunk extensions of this request are too large. Send the body without them.',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time. Send it again, in one go.'],
};

function errorResponse(status: number, message: string, errorLink: ErrorLink) {
  const body = JSON.stringify(new InvalidRequestError(message, {}, status).toWire(errorLink));
  const head = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
    'request-id': newId('req'),
    'stripe-version': API_VERSION,
  };
  return { head, body };
}
