/** How a body arrives: asked for, in pieces that are not too small, or thrown away where nobody reads it. */
import { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { InvalidRequestError } from './api.errors';

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
export function askForBody(
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
export function boundPieces({ raw: request }: FastifyRequest): void {
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
export function discardRest({ raw: request }: FastifyRequest, reply: FastifyReply): void {
  const { raw: response } = reply;
  if (!hasBody(request)) return;
  // Fastify closes the connection of each body that it refuses, also of one that has arrived.
  if (reply.hasHeader('connection')) reply.removeHeader('connection');
  // What is injected into the process has arrived in full.
  if (request.complete || !(request instanceof IncomingMessage)) return;
  // Its client waits for `100 Continue` and sends nothing: Node closes the connection.
  if (expectsContinue(request) && !asked.has(request)) return;

  const { socket } = request;
  const closes = !response.shouldKeepAlive;
  response.shouldKeepAlive = true; // for now: closing is for when the rest has arrived
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_REST_BYTES) socket.destroy();
  });
  const end = () => {
    if (closes && request.complete && response.writableFinished) socket.end();
  };
  request.once('end', end);
  response.once('finish', () => {
    end();
    if (request.complete) return;
    // The connection keeps the process alive, not this.
    const timer = setTimeout(() => socket.destroy(), REST_TIMEOUT_MS).unref();
    request.once('close', () => clearTimeout(timer));
  });
}

/** Requests whose client was asked for the body. */
const asked = new WeakSet<IncomingMessage>();

/** RFC 9112, 6.3. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
}

function expectsContinue({ headers, httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1' && /^100-continue$/i.test(headers.expect ?? '');
}
