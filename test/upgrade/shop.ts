/** A shop that keeps every byte of its responses, to compare those of a later server with them. */

/** A request with a key, and its response. */
export interface KeyedRequest {
  readonly key: string;
  readonly path: string;
  readonly form: Readonly<Record<string, string>>;
  readonly received: ReceivedResponse;
}

export interface ReceivedResponse {
  readonly status: number;
  readonly headers: Headers;
  /** As it went over the wire. */
  readonly body: string;
}

/** Any JSON object. */
export type Json = Record<string, unknown> & { readonly id: string };

export class Shop {
  constructor(
    /** Of the server that it speaks to at the moment. */
    public url: string,
    readonly apiKey: string,
  ) {}

  get(path: string): Promise<ReceivedResponse> {
    return this.send('GET', path);
  }

  /** @param key the idempotency key; the same one asks again */
  async post(key: string, path: string, form: Record<string, string> = {}): Promise<KeyedRequest> {
    const received = await this.send('POST', path, form, { 'idempotency-key': key });
    return { key, path, form, received };
  }

  /** Sends a request again. */
  async again({ key, path, form }: KeyedRequest): Promise<ReceivedResponse> {
    return (await this.post(key, path, form)).received;
  }

  /** A payment that is confirmed at once. */
  pay(key: string, amount: number, form: Record<string, string> = {}): Promise<KeyedRequest> {
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
  ): Promise<ReceivedResponse> {
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

/** The object in a response that must have this status. */
export function objectOf(res: ReceivedResponse, status = 200): Json {
  if (res.status !== status) throw new Error(`${res.status} in place of ${status}: ${res.body}`);
  return JSON.parse(Buffer.from(res.body, 'latin1').toString('utf8')) as Json;
}
