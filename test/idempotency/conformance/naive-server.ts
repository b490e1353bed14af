/** Idempotency as it is often written first: a Map from key to response, without lock, comparison or scope. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

interface Response {
  readonly status: number;
  readonly body: string;
}

/** Ways to be wrong that the naive server does not have. */
export type Worse =
  | 'it acknowledges and does nothing'
  | 'it replays any response'
  | 'it runs every copy'
  | 'it refuses after the effect';

export interface NaiveServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Work has to take a moment, or no two requests are in flight at once. */
const WORK_MS = 50;
const SLOW_WORK_MS = 1_500;

/** Starts one on a free port: `POST /orders` makes an order, `GET /orders` lists them. */
export async function startNaiveServer(worse?: Worse): Promise<NaiveServer> {
  const responses = new Map<string, Response>();
  const orders: string[] = [];

  async function order(body: string): Promise<Response> {
    const { item } = JSON.parse(body) as { item?: unknown };
    if (typeof item !== 'string') return { status: 400, body: '{"message":"no item"}' };
    await delay(item === 'slow' ? SLOW_WORK_MS : WORK_MS, undefined, { ref: false });
    if (item === 'sold out') return { status: 404, body: '{"message":"sold out"}' };
    if (worse !== 'it acknowledges and does nothing') orders.push(item);
    return { status: 201, body: JSON.stringify({ id: orders.length, item }) };
  }

  async function respond(request: IncomingMessage): Promise<Response> {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk as string;
    if (request.method === 'GET') return { status: 200, body: JSON.stringify(orders) };
    const sent = String(request.headers['idempotency-key'] ?? '');
    const key = worse === 'it replays any response' ? 'any' : sent;
    if (!key) return order(body);
    const stored = worse === 'it runs every copy' ? undefined : responses.get(key);
    if (stored && worse === 'it refuses after the effect') {
      const again = await order(body);
      return again.body.includes('item') ? { status: 422, body: 'no' } : stored;
    }
    const response = stored ?? (await order(body));
    responses.set(key, response);
    return response;
  }

  const server = createServer((request, reply) => {
    void respond(request).then(({ status, body }) =>
      reply.writeHead(status, { 'content-type': 'application/json' }).end(body),
    );
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}
