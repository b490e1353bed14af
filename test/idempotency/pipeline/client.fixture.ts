/** A client that compares a response with its replay, and can leave before it has one. */
import { randomUUID } from 'node:crypto';
import { type ClientRequest, request as httpRequest } from 'node:http';
import type { Shop } from '../shop.fixture';
import { countKeys, countOrders } from '../shop-database.fixture';

/** What a request has beside its path and its key. */
export interface Sending {
  /** POST unless it says otherwise. */
  readonly method?: string;
  readonly body?: object;
  readonly headers?: Record<string, string>;
}

/** What came back, to the byte. */
export interface Received {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly text: string;
}

export class Client {
  constructor(private readonly shop: Shop) {}

  async send(
    path: string,
    key?: string,
    { method = 'POST', body = {}, headers = {} }: Sending = {},
  ): Promise<Received> {
    const withBody = method !== 'GET' && method !== 'HEAD';
    const response = await fetch(`${this.shop.url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        authorization: 'a',
        ...(withBody ? { 'content-type': 'application/json' } : {}),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...headers,
      },
      body: withBody ? JSON.stringify(body) : undefined,
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
  }

  /** Sends twice: the responses must be the same, and the second a replay. */
  async sendTwice(path: string, sending?: Sending): Promise<[Received, Received]> {
    const key = randomUUID();
    const first = await this.send(path, key, sending);
    const { runs } = this.shop.watch;
    const second = await this.send(path, key, sending);
    expect(second.status).toBe(first.status);
    expect(second.bytes.equals(first.bytes)).toBe(true);
    for (const name of ['content-type', 'location']) {
      expect([name, second.headers.get(name)]).toEqual([name, first.headers.get(name)]);
    }
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(this.shop.watch.runs).toBe(runs);
    return [first, second];
  }

  /** Sends twice: the first must leave no order and no key behind, and the second must run like it. */
  async sendAndFindTheKeyFree(path: string): Promise<Received> {
    const key = randomUUID();
    const before = await countOrders(this.shop);
    const first = await this.send(path, key);
    expect(await countOrders(this.shop)).toBe(before);
    expect(await countKeys(this.shop, key)).toBe(0);
    const second = await this.send(path, key);
    expect(second.headers.get('idempotent-replayed')).toBeNull();
    expect(second.status).toBe(first.status);
    return first;
  }

  /** Sends a request whose client leaves with `destroy()`. */
  sendToLeave(
    path: string,
    key: string,
    { body = {}, headers = {} }: Omit<Sending, 'method'> = {},
  ): ClientRequest {
    const request = httpRequest(`${this.shop.url}${path}`, {
      method: 'POST',
      headers: {
        authorization: 'a',
        'content-type': 'application/json',
        'idempotency-key': key,
        ...headers,
      },
    });
    request.on('error', () => undefined); // the socket that is hung up on purpose
    request.end(JSON.stringify(body));
    return request;
  }
}
