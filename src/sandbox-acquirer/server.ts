/** The sandbox acquirer over HTTP. Its caller is `HttpGateway`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import type { AcquirerLedger, KeyedOrder } from './acquirer-ledger';
import type { CallBehaviour, Faults } from './faults';
import type { OrderResult } from './order-result';
import { type AcquirerOrder, RemoteKeyConflictError } from './rules';

/** More than an order with all the metadata that a merchant can write. */
const BODY_LIMIT_BYTES = 262_144;

interface OperationParams {
  readonly merchant: string;
  readonly remoteKey: string;
}

const params = {
  type: 'object',
  properties: {
    merchant: { type: 'string', minLength: 1, maxLength: 255 },
    remoteKey: { type: 'string', minLength: 1, maxLength: 255 },
  },
};

const metadata = { type: 'object', additionalProperties: { type: 'string' } };
const name = { type: 'string', minLength: 1, maxLength: 255 };
const amount = { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER };

const order = {
  type: 'object',
  oneOf: [
    {
      required: ['kind', 'amount', 'currency', 'card', 'capture'],
      properties: {
        kind: { const: 'charge' },
        amount,
        currency: { type: 'string', pattern: '^[a-z]{3}$' },
        card: name,
        capture: { type: 'boolean' },
        metadata,
      },
      additionalProperties: false,
    },
    {
      required: ['kind', 'payment', 'amount'],
      properties: { kind: { enum: ['capture', 'refund'] }, payment: name, amount, metadata },
      additionalProperties: false,
    },
    {
      required: ['kind', 'payment', 'amount'],
      properties: { kind: { const: 'cancel' }, payment: name, amount: { const: 0 }, metadata },
      additionalProperties: false,
    },
  ],
};

/**
 * The routes of the acquirer, on no port yet. Requests are not authenticated, so only its callers should
 * reach it.
 *
 * - `PUT /v1/merchants/:merchant/operations/:remoteKey` executes an order: 200 approved, 402 declined, 409
 *   where the key was used for another order, 400 where the body is no order
 * - `GET` of the same: the result, else 404
 * - `GET /v1/merchants/:merchant/ledger` and `/balance?currency=usd`; `GET /health`
 */
export function acquirerServer(ledger: AcquirerLedger, faults: Faults): FastifyInstance {
  const server = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { maxParamLength: 4_096 },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  server.setErrorHandler(
    ({ statusCode = 500, message }: Error & { statusCode?: number }, _, reply) =>
      errorBody(reply, statusCode, statusCode < 500 ? 'invalid_order' : 'internal', message),
  );
  server.put<{ Params: OperationParams; Body: AcquirerOrder }>(
    '/v1/merchants/:merchant/operations/:remoteKey',
    { schema: { params, body: order } },
    async ({ params: { merchant, remoteKey }, body }, reply) => {
      const behaviour = await behaviourFor({ merchant, remoteKey, order: body }, ledger, faults);
      return respond(reply, behaviour, async () => {
        try {
          return resultBody(reply, await ledger.executeOnce(merchant, remoteKey, body));
        } catch (error) {
          if (!(error instanceof RemoteKeyConflictError)) throw error;
          return errorBody(reply, 409, 'remote_key_conflict', error.message);
        }
      });
    },
  );
  server.get<{ Params: OperationParams }>(
    '/v1/merchants/:merchant/operations/:remoteKey',
    { schema: { params } },
    ({ params: { merchant, remoteKey } }, reply) =>
      respond(reply, faults.next(), async () => {
        const result = await ledger.lookUp(merchant, remoteKey);
        if (result) return resultBody(reply, result);
        return errorBody(reply, 404, 'remote_key_unknown', `Nothing is known of ${remoteKey}.`);
      }),
  );
  server.get<{ Params: { merchant: string } }>(
    '/v1/merchants/:merchant/ledger',
    async ({ params: { merchant } }) => ({ entries: await ledger.entries(merchant) }),
  );
  server.get<{ Params: { merchant: string }; Querystring: { currency?: string } }>(
    '/v1/merchants/:merchant/balance',
    async ({ params: { merchant }, query: { currency = 'usd' } }) => ({
      currency,
      balance: await ledger.balance(merchant, currency),
    }),
  );
  server.get('/health', () => ({ status: 'ok' }));
  return server;
}

async function behaviourFor(
  { merchant, remoteKey, order: { metadata: orderMetadata } }: KeyedOrder,
  ledger: AcquirerLedger,
  faults: Faults,
): Promise<CallBehaviour> {
  if (orderMetadata === undefined) return faults.next();
  const isKnown = (await ledger.lookUp(merchant, remoteKey)) !== undefined;
  return faults.forKey(merchant, remoteKey, orderMetadata, isKnown);
}

/** Does the work, with the latency and the fault that were picked. A caller that leaves changes nothing. */
async function respond(
  reply: FastifyReply,
  { latencyMs, fault }: CallBehaviour,
  work: () => Promise<unknown>,
) {
  if (latencyMs > 0) await sleep(latencyMs / 2);
  if (fault === 'error_before') {
    return errorBody(reply, 500, 'fault', 'The sandbox failed before the work, as it was told to.');
  }
  const body = await work();
  if (latencyMs > 0) await sleep(latencyMs / 2);
  if (fault === 'lose_reply') {
    reply.hijack();
    reply.raw.socket?.destroy();
    return;
  }
  if (fault === 'error_after') {
    return errorBody(reply, 500, 'fault', 'The sandbox failed after the work, as it was told to.');
  }
  return body;
}

/** Sets the status of a result and returns the body. */
function resultBody(reply: FastifyReply, result: OrderResult): OrderResult {
  reply.code(result.outcome === 'approved' ? 200 : 402);
  return result;
}

/** Sets the status of an error and returns the body. */
function errorBody(reply: FastifyReply, status: number, code: string, message: string) {
  reply.code(status);
  return { error: { code, message } };
}
