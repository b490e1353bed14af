/** Test clients, which retry or leave, and record every response. */
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { isFinal } from './checker';
import type { ClientRecord, Order, SeenResponse } from './evidence';
import type { Chance } from './random';

/** A request that a client sends under one key until it has a final response. */
export interface IntendedRequest {
  readonly order: Order;
  readonly path: string;
  readonly form: Readonly<Record<string, string>>;
}

/** One request that was sent, and its end. */
export interface Sent {
  readonly res?: SeenResponse;
  /** Why there was no response. */
  readonly failure?: string;
  readonly tookMs: number;
}

export interface Patience {
  /** The only server it sends to. Default: any server that runs. */
  readonly server?: string;
  /** For one request, ms; then the client hangs up. Default 30 s. */
  readonly requestMs?: number;
  /** For all requests together, ms. Default 60 s. */
  readonly allMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Account {
  readonly name: string;
  readonly apiKey: string;
}

interface Writable extends ClientRecord {
  readonly responses: SeenResponse[];
  withoutResponse: number;
  gone: boolean;
}

/** Pause between two tries of one client, ms. */
const MIN_PAUSE_MS = 20;
const MAX_PAUSE_MS = 250;
/** The smallest amounts of payments and captures, so that the amounts of different effects do not meet. */
const PAYMENT_BASE = 1_000_000;
const CAPTURE_BASE = 500_000;

export class Clients {
  retries = 0;
  /** Called after every request. */
  onSent: (sent: Sent, intended: IntendedRequest) => void = () => undefined;
  #made = 0;
  readonly #records = new Map<string, Writable>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 512 });

  /** @param servers the URLs of the servers that run now */
  constructor(
    private readonly accounts: readonly Account[],
    private readonly servers: () => readonly string[],
    private readonly chance: Chance,
  ) {}

  get records(): ClientRecord[] {
    return [...this.#records.values()];
  }

  /** The number of keys so far. */
  get count(): number {
    return this.#records.size;
  }

  payment(fields: Readonly<Record<string, string>> = {}): IntendedRequest {
    const order = this.order('charge', PAYMENT_BASE);
    const form = {
      amount: String(order.amount),
      currency: 'usd',
      payment_method: 'pm_card_visa',
      confirm: 'true',
      ...fields,
    };
    return { order, path: '/v1/payment_intents', form };
  }

  /** Creates an intent that a `confirm` will pay. */
  opening(): IntendedRequest {
    const order = this.order('open', PAYMENT_BASE);
    const form = { amount: String(order.amount), currency: 'usd' };
    return { order, path: '/v1/payment_intents', form };
  }

  confirmation(
    opened: IntendedRequest,
    intent: string,
    fields: Readonly<Record<string, string>>,
  ): IntendedRequest {
    const order: Order = { ...opened.order, key: randomUUID(), effect: 'confirm' };
    return { order, path: `/v1/payment_intents/${intent}/confirm`, form: fields };
  }

  /** Makes a payment that is only authorised. */
  authorisation(): IntendedRequest {
    return this.payment({ capture_method: 'manual' });
  }

  /** Captures a part of an authorised payment; the rest is released. */
  capture(authorised: IntendedRequest, intent: string): IntendedRequest {
    const order = { ...this.order('capture', CAPTURE_BASE), account: authorised.order.account };
    const form = { amount_to_capture: String(order.amount) };
    return { order, path: `/v1/payment_intents/${intent}/capture`, form };
  }

  cancellation(authorised: IntendedRequest, intent: string): IntendedRequest {
    const order: Order = { ...authorised.order, key: randomUUID(), effect: 'cancel' };
    return { order, path: `/v1/payment_intents/${intent}/cancel`, form: {} };
  }

  /** Refunds a part of a payment of the same account; the amount is unique, and far below the payment's. */
  refund(paid: IntendedRequest, intent: string): IntendedRequest {
    const order = { ...this.order('refund', 0), account: paid.order.account };
    const form = { payment_intent: intent, amount: String(order.amount) };
    return { order, path: '/v1/refunds', form };
  }

  customer(): IntendedRequest {
    const order = this.order('customer', 0);
    return { order, path: '/v1/customers', form: { name: String(order.amount) } };
  }

  /** Sends until there is a final response, at most for `patience.allMs`. */
  async retryUntilFinal(
    intended: IntendedRequest,
    patience: Patience = {},
  ): Promise<SeenResponse | undefined> {
    const again = this.#records.has(intended.order.key);
    const record = this.record(intended, false);
    const until = performance.now() + (patience.allMs ?? 60_000);
    for (let tries = 0; ; tries += 1) {
      if (tries > 0 || again) this.retries += 1;
      const server = patience.server ?? this.anyServer();
      if (server !== undefined) {
        const { res } = await this.try(intended, record, server, patience);
        if (res && isFinal(res)) return res;
      }
      if (performance.now() > until) return undefined;
      await pause(this.chance.between(MIN_PAUSE_MS, MAX_PAUSE_MS));
    }
  }

  /** Sends once, to one server, and never retries. */
  once(intended: IntendedRequest, server: string, patience: Patience = {}): Promise<Sent> {
    return this.try(intended, this.record(intended, true), server, patience);
  }

  /** Picks a server that runs now. */
  anyServer(): string | undefined {
    const servers = this.servers();
    return servers.length > 0 ? this.chance.pick(servers) : undefined;
  }

  close(): void {
    this.#agent.destroy();
  }

  private order(effect: Order['effect'], base: number): Order {
    this.#made += 1;
    const account = this.chance.pick(this.accounts).name;
    return { key: randomUUID(), account, effect, amount: base + this.#made };
  }

  private record(intended: IntendedRequest, gone: boolean): Writable {
    const known = this.#records.get(intended.order.key);
    if (known) {
      known.gone &&= gone;
      return known;
    }
    const record = { order: intended.order, responses: [], withoutResponse: 0, gone };
    this.#records.set(intended.order.key, record);
    return record;
  }

  private async try(
    intended: IntendedRequest,
    record: Writable,
    server: string,
    { requestMs = 30_000, headers }: Patience,
  ): Promise<Sent> {
    const apiKey = this.accounts.find(({ name }) => name === intended.order.account)?.apiKey ?? '';
    const started = performance.now();
    const outcome = await this.send(server, intended, requestMs, {
      ...headers,
      authorization: `Bearer ${apiKey}`,
      'idempotency-key': intended.order.key,
      'content-type': 'application/x-www-form-urlencoded',
    }).then(
      (res) => ({ res }),
      (error: Error) => ({ failure: error.message }),
    );
    const sent: Sent = { ...outcome, tookMs: performance.now() - started };
    if (sent.res) remember(record.responses, sent.res);
    else record.withoutResponse += 1;
    this.onSent(sent, intended);
    return sent;
  }

  private send(
    server: string,
    { path, form }: IntendedRequest,
    patienceMs: number,
    headers: Record<string, string>,
  ): Promise<SeenResponse> {
    const body = new URLSearchParams(form).toString();
    return new Promise((resolve, reject) => {
      const outgoing = request(`${server}${path}`, {
        method: 'POST',
        agent: this.#agent,
        headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      });
      const timer = setTimeout(
        () => outgoing.destroy(new Error(`no response in ${patienceMs} ms`)),
        patienceMs,
      );
      outgoing.once('error', reject).once('close', () => clearTimeout(timer));
      outgoing.once('response', (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        res.once('error', reject);
        res.once('end', () =>
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers as Record<string, string | undefined>,
            body: text,
          }),
        );
        res.once('close', () => reject(new Error('the response was cut off')));
      });
      outgoing.end(body);
    });
  }
}

/** The id of the payment intent in a response with status 200. */
export function intentOf(res: SeenResponse | undefined): string | undefined {
  return res?.status === 200 ? (JSON.parse(res.body) as { id: string }).id : undefined;
}

/** Adds a response, unless one of the same status and bytes is there. */
function remember(responses: SeenResponse[], res: SeenResponse): void {
  const same = ({ status, body }: SeenResponse) => status === res.status && body === res.body;
  if (!responses.some(same)) responses.push(res);
}
