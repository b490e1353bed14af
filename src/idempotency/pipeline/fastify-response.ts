/** Finishes pending responses on Fastify: its `onSend` hook has the serialised payload, uncompressed. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { OutgoingResponse } from '../attempts/outgoing-response';
import type { FinalResponse } from './finishing';
import { DESCRIBES_BODY, pendingResponseOf } from './pending-response';

/** Holds every response of an idempotent endpoint until it is finished. Called once at start-up. */
export function holdFastifyResponses(fastify: FastifyInstance): void {
  fastify.addHook('onSend', (request, reply, payload, done) => {
    const pending = pendingResponseOf(request);
    if (!pending) return done(null, payload);
    const final = pending.finish(() => outgoingOf(reply, payload));
    if (!(final instanceof Promise)) return done(null, payloadOf(reply, payload, final));
    final.then(
      (decided) => done(null, payloadOf(reply, payload, decided)),
      (error: Error) => done(error),
    );
  });
}

function outgoingOf(reply: FastifyReply, payload: unknown): OutgoingResponse {
  const { statusCode: status } = reply;
  const headers = reply.getHeaders();
  if (typeof payload === 'string') return { status, headers, body: payload };
  if (Buffer.isBuffer(payload)) return { status, headers, body: Buffer.from(payload) };
  const empty = payload === undefined || payload === null;
  return { status, headers, body: '', unstorable: empty ? undefined : 'a stream' };
}

/** Sets status and headers. @returns the payload to send */
function payloadOf(reply: FastifyReply, payload: unknown, final: FinalResponse): unknown {
  if ('with' in final) {
    reply.headers(final.with);
    return payload;
  }
  for (const name of Object.keys(reply.getHeaders())) {
    if (DESCRIBES_BODY.test(name)) reply.removeHeader(name);
  }
  const { status, headers, body } = final.instead;
  reply.code(status).headers(headers);
  return body;
}
