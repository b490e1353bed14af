/** Sends a recorded request into the application again, without a socket. */
import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { writeKey } from '../request/key-header';
import { markRecovery } from '../request/recorded-request';
import type { AbandonedKey } from '../store/key.store';

/**
 * Sends the request of an abandoned key. It runs in that life of the key or not at all. The account it
 * acts for is in the async context around the call.
 *
 * Express replaces a request's prototype, which a stand-in does not survive. So these are Node's own
 * request and response, on a socket that discards what is written.
 *
 * @returns the status of the response
 */
export async function resendRequest(
  { httpAdapter }: HttpAdapterHost,
  { id, request: { method, url, headers, body }, claimId }: AbandonedKey,
): Promise<number> {
  const payload = Buffer.from(body, 'base64');
  const discarding = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
  });
  // Internals: request-by-hand
  const req = new IncomingMessage(discarding as Socket);
  Object.assign(req, {
    method,
    url,
    headers: {
      ...headers,
      host: 'localhost',
      'idempotency-key': writeKey(id.key),
      'content-length': String(payload.length),
    },
    httpVersion: '1.1',
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    complete: true,
  });
  markRecovery(req, claimId);
  req.push(payload);
  req.push(null);
  const res = new ServerResponse(req);
  res.assignSocket(discarding as Socket);
  const sent = new Promise<void>((resolve, reject) => {
    res.once('finish', resolve);
    const closed = 'The response was destroyed before it was sent.';
    discarding.once('close', () => reject(new Error(closed)));
  });
  const instance: unknown = httpAdapter.getInstance();
  if (httpAdapter.getType() === 'fastify') (instance as FastifyInstance).routing(req, res);
  else (instance as RequestListener)(req, res);
  await sent;
  return res.statusCode;
}
