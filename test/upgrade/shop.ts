/** A shop that keeps every byte it was answered, to hold a later server to it. */

/** A request that has been answered. */
export interface Told {
  readonly key: string;
  readonly path: string;
  readonly form: Readonly<Record<string, string>>;
  readonly answer: Answer;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** As it went over the wire. */
  readonly body: string;
}

/** What an answer says, whatever it is. */
export type Json = Record<string, unknown> & { readonly id: string };

export class Shop {
  constructor(
    /** Of the server that it speaks to at the moment. */
    public url: string,
    readonly apiKey: string,
  ) {}

  get(path: string): Promise<Answer> {
    return this.send('GET', path);
  }

  /** @param key the idempotency key; the same one asks again */
  async post(key: string, path: string, form: Record<string, string> = {}): Promise<Told> {
    const answer = await this.send('POST', path, form, { 'idempotency-key': key });
    return { key, path, form, answer };
  }

  /** What `told` was asked, once more. */
  async again({ key, path, form }: Told): Promise<Answer> {
    return (await this.post(key, path, form)).answer;
  }

  /** A payment of so much, at once. */
  pay(key: string, amount: number, form: Record<string, string> = {}): Promise<Told> {
    const payment = { amount: String(amount), currency: 'usd', confirm: 'true' };
    return this.post(key, '/v1/payment_intents', {
      ...payment,
      payment_method: 'pm_card_visa',
      ...form,
    });
  }

  private async send(
    method: 'GET' | 'POST',
    path: string,
    form?: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.apiKey}`, ...headers },
      ...(form && { body: new URLSearchParams(form) }),
    });
    // latin1 keeps each byte as it is.
    const body = Buffer.from(await response.arrayBuffer()).toString('latin1');
    return { status: response.status, headers: response.headers, body };
  }
}

/** The object that an answer of this status shows. */
export function objectOf(answer: Answer, status = 200): Json {
  if (answer.status !== status)
    throw new Error(`${answer.status} in place of ${status}: ${answer.body}`);
  return JSON.parse(Buffer.from(answer.body, 'latin1').toString('utf8')) as Json;
}
