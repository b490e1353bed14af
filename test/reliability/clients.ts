/** Clients of our own, which retry as they should or leave, and write down all they saw. */
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { isFinal } from './checker';
import type { ClientRecord, Order, SeenAnswer } from './evidence';
import type { Chance } from './random';

/** What is sent, again and again, under one key. */
export interface Wish {
  readonly order: Order;
  readonly path: string;
  readonly form: Readonly<Record<string, string>>;
}

/** One request, whatever became of it. */
export interface Sent {
  readonly answer?: SeenAnswer;
  /** What ended it instead. */
  readonly failure?: string;
  readonly tookMs: number;
}

export interface Patience {
  /** Sends there alone. Default: to any of those that are there. */
  readonly server?: string;
  /** For one request, ms; then the client hangs up. Default 30 s. */
  readonly requestMs?: number;
  /** For all of them, ms. Default 60 s. */
  readonly allMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Account {
  readonly name: string;
  readonly apiKey: string;
}

interface Writable extends ClientRecord {
  readonly answers: SeenAnswer[];
  unanswered: number;
  gone: boolean;
}

/** Pause between two tries of one client, ms. */
const LEAST_PAUSE_MS = 20;
const MAX_PAUSE_MS = 250;
/** So that the client's orders are apart from each other: what a payment, and a capture, is at least. */
const PAYMENT_BASE = 1_000_000;
const CAPTURE_BASE = 500_000;

export class Clients {
  retries = 0;
  /** Hears of every request. */
  onSent: (sent: Sent, wish: Wish) => void = () => undefined;
  #made = 0;
  readonly #records = new Map<string, Writable>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 512 });

  /** @param servers the URLs of the servers that are there now */
  constructor(
    private readonly accounts: readonly Account[],
    private readonly servers: () => readonly string[],
    private readonly chance: Chance,
  ) {}

  get records(): ClientRecord[] {
    return [...this.#records.values()];
  }

  /** Keys so far. */
  get count(): number {
    return this.#records.size;
  }

  payment(fields: Readonly<Record<string, string>> = {}): Wish {
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

  /** An intent that a `confirm` will pay. */
  opening(): Wish {
    const order = this.order('open', PAYMENT_BASE);
    const form = { amount: String(order.amount), currency: 'usd' };
    return { order, path: '/v1/payment_intents', form };
  }

  confirmation(opened: Wish, intent: string, fields: Readonly<Record<string, string>>): Wish {
    const order: Order = { ...opened.order, key: randomUUID(), effect: 'confirm' };
    return { order, path: `/v1/payment_intents/${intent}/confirm`, form: fields };
  }

  /** A payment that is only authorised. */
  authorisation(): Wish {
    return this.payment({ capture_method: 'manual' });
  }

  /** Of a part of what was authorised; the rest is released. */
  capture(authorised: Wish, intent: string): Wish {
    const order = { ...this.order('capture', CAPTURE_BASE), account: authorised.order.account };
    const form = { amount_to_capture: String(order.amount) };
    return { order, path: `/v1/payment_intents/${intent}/capture`, form };
  }

  cancellation(authorised: Wish, intent: string): Wish {
    const order: Order = { ...authorised.order, key: randomUUID(), effect: 'cancel' };
    return { order, path: `/v1/payment_intents/${intent}/cancel`, form: {} };
  }

  /** Of a payment of the same account; its amount is its own and far below the payment's. */
  refund(paid: Wish, intent: string): Wish {
    const order = { ...this.order('refund', 0), account: paid.order.account };
    const form = { payment_intent: intent, amount: String(order.amount) };
    return { order, path: '/v1/refunds', form };
  }

  customer(): Wish {
    const order = this.order('customer', 0);
    return { order, path: '/v1/customers', form: { name: String(order.amount) } };
  }

  /** Sends until there is a final answer, or patience is over. */
  async insist(wish: Wish, patience: Patience = {}): Promise<SeenAnswer | undefined> {
    const again = this.#records.has(wish.order.key);
    const record = this.record(wish, false);
    const until = performance.now() + (patience.allMs ?? 60_000);
    for (let tries = 0; ; tries += 1) {
      if (tries > 0 || again) this.retries += 1;
      const server = patience.server ?? this.anyServer();
      if (server !== undefined) {
        const { answer } = await this.try(wish, record, server, patience);
        if (answer && isFinal(answer)) return answer;
      }
      if (performance.now() > until) return undefined;
      await pause(this.chance.between(LEAST_PAUSE_MS, MAX_PAUSE_MS));
    }
  }

  /** Sends once, to one server, and leaves it at that. */
  once(wish: Wish, server: string, patience: Patience = {}): Promise<Sent> {
    return this.try(wish, this.record(wish, true), server, patience);
  }

  /** One of those that are there now. */
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

  private record(wish: Wish, gone: boolean): Writable {
    const known = this.#records.get(wish.order.key);
    if (known) {
      known.gone &&= gone;
      return known;
    }
    const record = { order: wish.order, answers: [], unanswered: 0, gone };
    this.#records.set(wish.order.key, record);
    return record;
  }

  private async try(
    wish: Wish,
    record: Writable,
    server: string,
    { requestMs = 30_000, headers }: Patience,
  ): Promise<Sent> {
    const apiKey = this.accounts.find(({ name }) => name === wish.order.account)?.apiKey ?? '';
    const started = performance.now();
    const outcome = await this.send(server, wish, requestMs, {
      ...headers,
      authorization: `Bearer ${apiKey}`,
      'idempotency-key': wish.order.key,
      'content-type': 'application/x-www-form-urlencoded',
    }).then(
      (answer) => ({ answer }),
      (error: Error) => ({ failure: error.message }),
    );
    const sent: Sent = { ...outcome, tookMs: performance.now() - started };
    if (sent.answer) remember(record.answers, sent.answer);
    else record.unanswered += 1;
    this.onSent(sent, wish);
    return sent;
  }

  private send(
    server: string,
    { path, form }: Wish,
    patienceMs: number,
    headers: Record<string, string>,
  ): Promise<SeenAnswer> {
    const body = new URLSearchParams(form).toString();
    return new Promise((resolve, reject) => {
      const outgoing = request(`${server}${path}`, {
        method: 'POST',
        agent: this.#agent,
        headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      });
      const timer = setTimeout(
        () => outgoing.destroy(new Error(`no answer in ${patienceMs} ms`)),
        patienceMs,
      );
      outgoing.once('error', reject).once('close', () => clearTimeout(timer));
      outgoing.once('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.once('error', reject);
        response.once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers as Record<string, string | undefined>,
            body: text,
          }),
        );
        response.once('close', () => reject(new Error('the answer was cut off')));
      });
      outgoing.end(body);
    });
  }
}

/** The payment intent that an answer is about; undefined where it is not one that was made. */
export function intentOf(answer: SeenAnswer | undefined): string | undefined {
  return answer?.status === 200 ? (JSON.parse(answer.body) as { id: string }).id : undefined;
}

/** Every answer counts; of those that are alike in status and bytes one is kept. */
function remember(answers: SeenAnswer[], answer: SeenAnswer): void {
  const same = ({ status, body }: SeenAnswer) => status === answer.status && body === answer.body;
  if (!answers.some(same)) answers.push(answer);
}
