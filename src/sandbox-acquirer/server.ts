/** The sandbox acquirer over HTTP: what `HttpGateway` talks to. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import type { AcquirerLedger } from './acquirer-ledger';
import type { CallBehaviour, Faults } from './faults';
import { type AcquirerOrder, RemoteKeyConflictError } from './rules';
import type { OrderResult } from './order-result';

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
 * Routes of the acquirer, on no port yet. It asks nobody who they are, so it belongs where only its
 * callers reach it.
 *
 * - `PUT /v1/merchants/:merchant/operations/:remoteKey` does an order: 200 approved, 402 declined, 409
 *   where the key was used for another order, 400 where it is none
 * - `GET` of the same: the answer given before, else 404
 * - `GET /v1/merchants/:merchant/ledger` and `/balance?currency=usd`; `GET /health`
 */
export function acquirerServer(books: AcquirerLedger, faults: Faults): FastifyInstance {
  const server = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { maxParamLength: 4_096 },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  server.setErrorHandler(
    ({ statusCode = 500, message }: Error & { statusCode?: number }, _, reply) =>
      refuse(reply, statusCode, statusCode < 500 ? 'invalid_order' : 'internal', message),
  );
  server.put<{ Params: OperationParams; Body: AcquirerOrder }>(
    '/v1/merchants/:merchant/operations/:remoteKey',
    { schema: { params, body: order } },
    async ({ params: { merchant, remoteKey }, body }, reply) => {
      const fate = await fateOf(books, faults, merchant, remoteKey, body);
      return suffer(reply, fate, async () => {
        try {
          const outcome = await books.executeOnce(merchant, remoteKey, body);
          return tell(reply, outcome);
        } catch (error) {
          if (!(error instanceof RemoteKeyConflictError)) throw error;
          return refuse(reply, 409, 'remote_key_conflict', error.message);
        }
      });
    },
  );
  server.get<{ Params: OperationParams }>(
    '/v1/merchants/:merchant/operations/:remoteKey',
    { schema: { params } },
    ({ params: { merchant, remoteKey } }, reply) =>
      suffer(reply, faults.next(), async () => {
        const outcome = await books.lookUp(merchant, remoteKey);
        if (outcome) return tell(reply, outcome);
        return refuse(reply, 404, 'remote_key_unknown', `Nothing is known of ${remoteKey}.`);
      }),
  );
  server.get<{ Params: { merchant: string } }>(
    '/v1/merchants/:merchant/ledger',
    async ({ params: { merchant } }) => ({ entries: await books.entries(merchant) }),
  );
  server.get<{ Params: { merchant: string }; Querystring: { currency?: string } }>(
    '/v1/merchants/:merchant/balance',
    async ({ params: { merchant }, query: { currency = 'usd' } }) => ({
      currency,
      balance: await books.balance(merchant, currency),
    }),
  );
  server.get('/health', () => ({ status: 'ok' }));
  return server;
}

async function fateOf(
  books: AcquirerLedger,
  faults: Faults,
  merchant: string,
  remoteKey: string,
  { metadata: wishes }: AcquirerOrder,
): Promise<CallBehaviour> {
  if (wishes === undefined) return faults.next();
  const answered = await books.lookUp(merchant, remoteKey);
  return faults.forKey(merchant, remoteKey, wishes, answered !== undefined);
}

/** Does the work under its fate. A caller that goes away meanwhile changes nothing of it. */
async function suffer(reply: FastifyReply, fate: CallBehaviour, work: () => Promise<unknown>) {
  const { latencyMs, fault } = fate;
  if (latencyMs > 0) await sleep(latencyMs / 2);
  if (fault === 'error_before') {
    return refuse(reply, 500, 'fault', 'The sandbox failed before the work, as it was told to.');
  }
  const answer = await work();
  if (latencyMs > 0) await sleep(latencyMs / 2);
  if (fault === 'lose_reply') {
    reply.hijack();
    reply.raw.socket?.destroy();
    return;
  }
  if (fault === 'error_after') {
    return refuse(reply, 500, 'fault', 'The sandbox failed after the work, as it was told to.');
  }
  return answer;
}

function tell(reply: FastifyReply, outcome: OrderResult): OrderResult {
  reply.code(outcome.outcome === 'approved' ? 200 : 402);
  return outcome;
}

function refuse(reply: FastifyReply, status: number, code: string, message: string) {
  reply.code(status);
  return { error: { code, message } };
}
