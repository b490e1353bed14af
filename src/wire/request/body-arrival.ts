/** How a body arrives: asked for, in pieces that are not too small, or thrown away where nobody reads it. */
import { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { InvalidRequestError } from '../errors/api.errors';

/** How long after its response the rest of a body may take to arrive, ms. */
const REST_TIMEOUT_MS = 5_000;
/**
 * Most bytes of a body that are received and thrown away. More than any body limit, so that a client
 * with a body just too large for it reads its 413.
 */
const MAX_REST_BYTES = 16 * 1024 * 1024;

/** Pieces of any size that a body may have, and then one for so many bytes that have arrived. */
const MIN_PIECES = 4_096;
const BYTES_PER_PIECE = 64;

/** Says `100 Continue` to a client that waits for it, once its body is wanted (RFC 9110, 10.1.1). */
export function sendContinue(
  { raw: request }: FastifyRequest,
  { raw: response }: FastifyReply,
): void {
  if (!expectsContinue(request)) return;
  asked.add(request);
  response.writeContinue();
}

/**
 * Refuses a body that comes in very many pieces, as chunks of one byte do: each is an object of some
 * 400 bytes until the body is whole.
 */
export function limitChunks({ raw: request }: FastifyRequest): void {
  if (!hasBody(request) || Number(request.headers['content-length']) <= MIN_PIECES) return;
  let pieces = 0;
  let bytes = 0;
  const count = (chunk: Buffer) => {
    pieces += 1;
    bytes += chunk.length;
    if (pieces <= MIN_PIECES + bytes / BYTES_PER_PIECE) return;
    request.off('data', count);
    // Whoever reads the body hears this as its end; the connection stays for the answer.
    request.emit(
      'error',
      new InvalidRequestError(
        'This body came in too many small chunks. Send larger ones.',
        {},
        413,
      ),
    );
  };
  request.on('data', count);
}

/**
 * Throws the rest of a body away while its response is sent, and keeps none of it. Closing at once
 * would break the connection under the response: a client that is still sending reads an error and
 * never its 401 (RFC 9112, 9.6). The connection stays if the rest arrives in time and within bounds,
 * else it is closed. Call it before the head of the response is written.
 */
export function discardUnreadBody({ raw: request }: FastifyRequest, reply: FastifyReply): void {
  const { raw: response } = reply;
  if (!hasBody(request)) return;
  // What is injected into the process has arrived in full.
  const arrived = request.complete || !(request instanceof IncomingMessage);
  if (!arrived && !willArrive(request)) response.shouldKeepAlive = false;
  // Fastify closes the connection of each body that it refuses, also of one that has arrived.
  if (reply.hasHeader('connection')) {
    reply.header('connection', response.shouldKeepAlive ? 'keep-alive' : 'close');
  }
  if (arrived) return;

  if (!response.shouldKeepAlive) closeOnceArrived(request);
  const { socket } = request;
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_REST_BYTES) socket.destroy();
  });
  response.once('finish', () => {
    if (request.complete) return;
    // The connection keeps the process alive, not this.
    const timer = setTimeout(() => socket.destroy(), REST_TIMEOUT_MS).unref();
    request.once('close', () => clearTimeout(timer));
  });
}

/** Node closes the connection by `destroySoon` after a response that says `Connection: close`. */
function closeOnceArrived(request: IncomingMessage): void {
  const { socket } = request;
  const close = socket.destroySoon.bind(socket);
  socket.destroySoon = () => {
    // Its client sends nothing as a rule, and reads the end of the connection at once.
    if (isUnasked(request)) socket.end();
    if (request.complete) close();
    else request.once('end', close);
  };
}

/**
 * Whether a further request can come behind this body: it is not cut off, and was asked for. Behind a
 * body with `Upgrade`, as Java's client sends it, Node loses what it reads together with the body's end.
 */
function willArrive(request: IncomingMessage): boolean {
  const { 'content-length': length, upgrade } = request.headers;
  return !(Number(length) > MAX_REST_BYTES) && upgrade === undefined && !isUnasked(request);
}

/** Requests whose client was asked for the body. */
const asked = new WeakSet<IncomingMessage>();

/** RFC 9112, 6.3. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
}

/**
 * Whether the client waits for `100 Continue`. It may lose patience and send its body all the same
 * (RFC 9110, 10.1.1).
 */
function isUnasked(request: IncomingMessage): boolean {
  return expectsContinue(request) && !asked.has(request);
}

function expectsContinue({ headers, httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1' && /^100-continue$/i.test(headers.expect ?? '');
}
