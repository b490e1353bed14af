/**
 * A real HTTP server that fails on demand. Each request takes the next fault of the plan; when the plan is
 * empty, the work is done. The work is done once per Idempotency-Key, and counted.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RetryError } from '../../src/client';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** On `performance.now()`. */
  readonly at: number;
  /** Whether the client hung up before the whole response had come. */
  hungUp: boolean;
}

interface FaultContext {
  readonly request: SeenRequest;
  readonly response: ServerResponse;
  readonly server: FaultyServer;
}

/** What becomes of one request. */
export type Fault = (context: FaultContext) => void | Promise<void>;

/** Sends this response, without any work. */
export const responds =
  (status: number, headers: Record<string, string | string[]> = {}, body = '{}'): Fault =>
  ({ response }) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(body);
  };

export const doesTheWork: Fault = ({ response, request, server }) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(server.work(request));
};

export const losesBeforeTheWork: Fault = ({ response }) => void response.socket?.destroy();

export const losesAfterTheWork: Fault = ({ response, request, server }) => {
  server.work(request);
  response.socket?.destroy();
};

/** The headers and half of the body, then the connection breaks. */
export const breaksOffTheResponse: Fault = ({ response, request, server }) => {
  const body = server.work(request);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.write(body.slice(0, body.length / 2), () => response.socket?.destroy());
};

/** Nothing, for ever. */
export const hangs: Fault = () => undefined;

/** The headers and the beginning of the body, and then nothing. */
export const hangsAfterTheHeaders: Fault = ({ response, request, server }) => {
  const body = server.work(request);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.write(body.slice(0, 3));
};

/** Does the work and sends the response byte by byte. */
export const drips =
  (pauseMs: number): Fault =>
  async ({ response, request, server }) => {
    const body = server.work(request);
    response.writeHead(200, { 'content-type': 'application/json' });
    for (const byte of body) {
      if (request.hungUp) return;
      response.write(byte);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    response.end();
  };

/** Forwards to another server, which executes the request whatever the client receives. */
export const forwardsTo =
  (url: string, end: 'delivered' | 'response lost' | 'response cut' = 'delivered'): Fault =>
  async ({ request, response }) => {
    const headers = new Headers(request.headers as Record<string, string>);
    for (const ofThisHop of ['connection', 'host', 'content-length']) headers.delete(ofThisHop);
    const body = request.method === 'GET' ? undefined : request.body;
    const received = await fetch(url + request.path, { method: request.method, headers, body });
    const bytes = Buffer.from(await received.arrayBuffer());
    if (end === 'response lost') return void response.socket?.destroy();
    response.writeHead(received.status, Object.fromEntries(received.headers));
    if (end === 'delivered') response.end(bytes);
    else response.write(bytes.subarray(0, 20), () => response.socket?.destroy());
  };

/** A body without an end. */
export const floods =
  (status: number): Fault =>
  ({ response }) => {
    const flow = () => {
      while (response.write('x'.repeat(65_536)));
    };
    response.writeHead(status).on('drain', flow);
    flow();
  };

export class FaultyServer {
  readonly seen: SeenRequest[] = [];
  /** The fault of each request once the plan is empty. */
  otherwise: Fault = doesTheWork;
  /** Whether pages of every origin may call the server. */
  cors = false;
  /** How often the work was done. */
  effects = 0;
  readonly #plan: Fault[] = [];
  readonly #done = new Map<string, string>();
  readonly #server = createServer((request, response) => void this.take(request, response));

  private constructor() {}

  static async start(): Promise<FaultyServer> {
    const faulty = new FaultyServer();
    await faulty.listen(0);
    return faulty;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The keys of all requests so far. */
  get keys(): (string | undefined)[] {
    return this.seen.map(({ headers }) => headers['idempotency-key'] as string | undefined);
  }

  plan(...faults: Fault[]): void {
    this.#plan.push(...faults);
  }

  work({ headers }: SeenRequest): string {
    const key = headers['idempotency-key'];
    const before = typeof key === 'string' ? this.#done.get(key) : undefined;
    if (before !== undefined) return before;
    this.effects += 1;
    const body = JSON.stringify({ id: `pi_${this.effects}`, amount: 2000 });
    if (typeof key === 'string') this.#done.set(key, body);
    return body;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  private async listen(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  private async take(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = performance.now();
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const request: SeenRequest = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString('latin1'),
      at,
      hungUp: false,
    };
    let finished = false;
    response.once('finish', () => (finished = true));
    if (this.cors) {
      // A browser repeats by itself what it lost on a connection it had kept; that is not tested here.
      response.setHeader('connection', 'close');
      response.setHeader('access-control-allow-origin', '*');
      response.setHeader('access-control-allow-headers', 'idempotency-key, content-type');
      response.setHeader('access-control-expose-headers', 'retry-after, stripe-should-retry');
      if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    }
    response.once('close', () => (request.hungUp = !finished));
    this.seen.push(request);
    await (this.#plan.shift() ?? this.otherwise)({ request, response, server: this });
  }
}

export const payment = { method: 'POST', body: 'amount=2000&currency=usd' };

/** The error that a call ends with. */
export async function failure(call: Promise<unknown>): Promise<RetryError> {
  const outcome = await call.then(
    () => new Error('it got a response'),
    (error: unknown) => error,
  );
  return outcome as RetryError;
}
