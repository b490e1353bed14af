/**
 * What Node refuses before there is a request that Fastify could answer (bytes that are not HTTP,
 * headers past the limit) is answered in the envelope too.
 */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { awaitsResponse, isHeldBack } from '../../runtime';
import { InvalidRequestError } from './api.errors';
import { type ErrorLink, noErrorLink } from './error-table';
import { API_VERSION } from '../schema/api-version';
import { newId } from '../schema/ids';

/**
 * Fastify's `clientErrorHandler`. Where a request that arrived in full is still being worked on, its
 * connection is closed without a word: a 400 for the bytes behind it would read as its answer, and
 * what it asked for may be done all the same.
 */
export function refuseOnSocket(
  error: Error & { code?: string },
  socket: Duplex,
  errorLink: ErrorLink = noErrorLink,
): void {
  // What is not read cannot arrive in time: it is this server that keeps it waiting.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isHeldBack(socket)) return;
  if (socket.writable && !awaitsResponse(socket) && error.code !== 'ECONNRESET') {
    const [status, message] = REFUSALS[error.code ?? ''] ?? NOT_HTTP;
    const { head, body } = answerOf(status, message, errorLink);
    const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
  }
  socket.destroy(error);
}

type Refusal = readonly [status: number, message: string];

const NOT_HTTP: Refusal = [
  400,
  'This is not an HTTP/1.1 request. Check its first line, its headers and its Content-Length.',
];

/** By the code of Node's error. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
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

function answerOf(status: number, message: string, errorLink: ErrorLink) {
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
