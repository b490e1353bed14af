/**
 * A phased request as it is stored until it finishes, so that it can be sent again through the same
 * pipeline when its client never comes back (R19).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { writeKey } from './key-header';
import type { HttpRequest } from '../contract/idempotency.options';

/** JSON, kept in the row; never credentials. */
export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** `Content-Type` and the headers the endpoint's fingerprint takes in. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body's bytes, base64. */
  readonly body: string;
}

/** Records what arrived. The exact bytes need NestJS's `rawBody: true`; else a body must be JSON. */
export function recordRequest(http: HttpRequest, named: readonly string[] = []): RecordedRequest {
  const headers: Record<string, string> = {};
  for (const name of ['content-type', ...named.map((header) => header.toLowerCase())]) {
    const value = http.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const bytes =
    http.rawBody ?? Buffer.from(http.body === undefined ? '' : JSON.stringify(http.body));
  const url = http.originalUrl ?? http.url;
  return { method: http.method, url, headers, body: bytes.toString('base64') };
}

/**
 * Sends a recorded request into the application, past no socket. Who it acts for is in the async
 * context around the call.
 *
 * @param claimId the life of the key it belongs to: another one it never runs in
 * @returns the status of the answer
 */
export function sendRecorded(
  { httpAdapter }: HttpAdapterHost,
  recorded: RecordedRequest,
  key: string,
  claimId: string,
): Promise<number> {
  return recovering.run(claimId, () => inject(httpAdapter, recorded, key));
}

/** The life of a key that is being recovered around here; nothing for a request of a client's. */
export const recoveredClaim = (): string | undefined => recovering.getStore();

const recovering = new AsyncLocalStorage<string>();

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
  // Express gives requests a prototype of its own, which injected stand-ins do not survive: a real
  // request and response of Node's, on a connection that leads nowhere.
  const nowhere = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const request = new IncomingMessage(nowhere as Socket);
  const length = String(payload.length);
  const arrived = { ...headers, 'content-length': length };
  Object.assign(request, { method, url, headers: arrived, complete: true });
  request.push(payload);
  request.push(null);
  const response = new ServerResponse(request);
  response.assignSocket(nowhere as Socket);
  httpAdapter.getInstance<RequestListener>()(request, response);
  await once(response, 'finish');
  return response.statusCode;
}
