/** The headers that every response has. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { API_VERSION } from '../schema/api-version';

/**
 * Sets `Request-Id` and `Stripe-Version`, unless the reply has them already.
 *
 * @param done where it is a hook of Fastify's
 */
export function setHeaders(request: FastifyRequest, reply: FastifyReply, done?: () => void): void {
  if (reply.hasHeader('request-id')) return done?.();
  const version = request.headers['stripe-version'];
  const isValid = typeof version === 'string' && /^[\w.;=-]{1,100}$/.test(version);
  reply.header('request-id', request.id).header('stripe-version', isValid ? version : API_VERSION);
  done?.();
}
