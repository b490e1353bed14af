/** Sends a recorded request into the application again, without a socket. */
import { once } from 'node:events';
import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { writeKey } from '../request/key-header';
import { type RecordedRequest, runAsRecovery } from '../request/recorded-request';
import type { AbandonedKey } from '../store/key.store';

/**
 * Sends the request of an abandoned key. It runs in that life of the key or not at all. The account it
 * acts for is in the async context around the call.
 *
 * @returns the status of the response
 */
export function resendRequest(
  { httpAdapter }: HttpAdapterHost,
  { id, request, claimId }: AbandonedKey,
): Promise<number> {
  return runAsRecovery(claimId, () => inject(httpAdapter, request, id.key));
}

async function inject(
  httpAdapter: HttpAdapterHost['httpAdapter'],
  { method, url, headers: recorded, body }: RecordedRequest,
  key: string,
): Promise<number> {
  const headers = { ...recorded, 'idempotency-key': writeKey(key) };
  const payload = Buffer.from(body, 'base64');
  if (httpAdapter.getType() === 'fastify') {
    const fastify = httpAdapter.getInstance<FastifyInstance>();
    const request = { method, url, headers, payload } as InjectOptions;
    return (await fastify.inject(request)).statusCode;
  }
  // Express replaces a request's prototype, which a stand-in does not survive. So these are Node's own
  // request and response, on a socket that discards what is written.
  const discarding = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
  });
  // Internals: request-by-hand
  const request = new IncomingMessage(discarding as Socket);
  const length = String(payload.length);
  const arrived = { ...headers, 'content-length': length };
  Object.assign(request, { method, url, headers: arrived, complete: true });
  request.push(payload);
  request.push(null);
  const res = new ServerResponse(request);
  res.assignSocket(discarding as Socket);
  httpAdapter.getInstance<RequestListener>()(request, res);
  await once(res, 'finish');
  return res.statusCode;
}
