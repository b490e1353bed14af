/** How a body arrives: requested with `100 Continue`, limited in its chunks, or discarded unread. */
import { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify';
import { InvalidRequestError } from '../errors/api.errors';

/** How long after the response an unread body may go on arriving. */
const DISCARD_TIMEOUT_MS = 5_000;
/**
 * How much of an unread body is received and discarded. It is more than any body limit, so that a
 * client whose body is slightly too large reads its 413.
 */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024;

/** A body may have this many chunks of any size, and one more for every `BYTES_PER_CHUNK` received. */
const MAX_SMALL_CHUNKS = 4_096;
const BYTES_PER_CHUNK = 64;

/** The `preParsing` hook: from here on the body is wanted. */
export const receiveBody: preParsingHookHandler = (request, reply, _payload, done) => {
  sendContinue(request, reply);
  limitChunks(request);
  done();
};

/** Sends `100 Continue` to a client that waits for it before it sends its body (RFC 9110, 10.1.1). */
function sendContinue({ raw: req }: FastifyRequest, { raw: res }: FastifyReply): void {
  if (!expectsContinue(req)) return;
  continued.add(req);
  res.writeContinue();
}

/**
 * Refuses a body in too many chunks (413). Each chunk takes some 400 bytes of memory until the body is
 * complete, even a chunk of one byte.
 */
function limitChunks({ raw: req }: FastifyRequest): void {
  if (!hasBody(req) || Number(req.headers['content-length']) <= MAX_SMALL_CHUNKS) return;
  let chunks = 0;
  let bytes = 0;
  const count = (chunk: Buffer) => {
    chunks += 1;
    bytes += chunk.length;
    if (chunks <= MAX_SMALL_CHUNKS + bytes / BYTES_PER_CHUNK) return;
    req.off('data', count);
    // The reader of the body stops at this error. The connection stays open for the response.
    // Internals: unread-body
    req.emit(
      'error',
      new InvalidRequestError(
        'This body came in too many small chunks. Send larger ones.',
        {},
        413,
      ),
    );
  };
  req.on('data', count);
}

/**
 * Discards the rest of a body while its response is sent. If the connection were closed at once, a
 * client that is still sending would read an error instead of its 401 (RFC 9112, 9.6). The connection
 * stays open if the rest arrives in time and within bounds; otherwise it is closed. Call this before
 * the head of the response is written.
 */
export function discardUnreadBody({ raw: req }: FastifyRequest, reply: FastifyReply): void {
  const { raw: res } = reply;
  if (!hasBody(req)) return;
  // The body of an injected request is complete from the start.
  const isComplete = req.complete || !(req instanceof IncomingMessage);
  // Internals: keep-alive
  if (!isComplete && !canKeepAlive(req)) res.shouldKeepAlive = false;
  // Fastify sets `Connection: close` for every body that it refuses, even for a complete one.
  if (reply.hasHeader('connection')) {
    reply.header('connection', res.shouldKeepAlive ? 'keep-alive' : 'close');
  }
  if (isComplete) return;

  if (!res.shouldKeepAlive) closeAfterBody(req);
  const { socket } = req;
  let bytes = 0;
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_DISCARDED_BYTES) socket.destroy();
  });
  res.once('finish', () => {
    if (req.complete) return;
    // The timer alone must not keep the process alive.
    const timer = setTimeout(() => socket.destroy(), DISCARD_TIMEOUT_MS).unref();
    req.once('close', () => clearTimeout(timer));
  });
}

/** Node calls `destroySoon` to close the connection after a response with `Connection: close`. */
function closeAfterBody(req: IncomingMessage): void {
  const { socket } = req;
  // Internals: unread-body
  const close = socket.destroySoon.bind(socket);
  socket.destroySoon = () => {
    // Such a client usually sends no body. The end of the connection lets it go on at once.
    if (awaitsContinue(req)) socket.end();
    if (req.complete) close();
    else req.once('end', close);
  };
}

/**
 * Whether another request can follow this body on the connection: all of the body will be received.
 * After a body with `Upgrade`, which Java's client sends, Node loses the bytes it reads together with
 * the body's end.
 */
function canKeepAlive(req: IncomingMessage): boolean {
  const { 'content-length': length, upgrade } = req.headers;
  return !(Number(length) > MAX_DISCARDED_BYTES) && upgrade === undefined && !awaitsContinue(req);
}

/** Requests that were sent `100 Continue`. */
const continued = new WeakSet<IncomingMessage>();

/** Whether the head announces a body (RFC 9112, 6.3). */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
}

/**
 * Whether the client still waits for `100 Continue`. It may send its body without it after a while
 * (RFC 9110, 10.1.1).
 */
function awaitsContinue(req: IncomingMessage): boolean {
  return expectsContinue(req) && !continued.has(req);
}

function expectsContinue({ headers, httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1' && /^100-continue$/i.test(headers.expect ?? '');
}
