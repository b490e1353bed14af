/** The typed client against a real server: calls, keys, errors, lists. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  responseReport,
  ApiError,
  type Client,
  type ClientOptions,
  createClient,
  type RetryEvent,
  RetryError,
} from '../../src/client';
import { startApp, type RunningApp } from '../support/app';

let shop: RunningApp;
let client: Client;
beforeAll(async () => {
  shop = await startApp();
  client = connect();
});
afterAll(() => shop.close());

function connect(options: Partial<ClientOptions> = {}): Client {
  return createClient({ baseUrl: shop.url, apiKey: shop.apiKey, baseDelayMs: 5, ...options });
}

async function rejected(promise: PromiseLike<unknown>): Promise<ApiError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('It was not refused.');
}

const order = { amount: 2000, currency: 'usd' };
const payment = { ...order, payment_method: 'pm_card_visa', confirm: true };

describe('every method', () => {
  it('of payments', async () => {
    const made = await client.payments.create(order);
    expect(made).toMatchObject({ object: 'payment_intent', status: 'requires_payment_method' });
    const changed = await client.payments.update(made.id, { amount: 3000, metadata: { a: 'b' } });
    expect(changed).toMatchObject({ amount: 3000, metadata: { a: 'b' } });
    const manual = { ...order, capture_method: 'manual', payment_method: 'pm_card_visa' } as const;
    const held = await client.payments.create(manual);
    const confirmed = await client.payments.confirm(held.id);
    expect(confirmed.status).toBe('requires_capture');
    const captured = await client.payments.capture(held.id, { amount_to_capture: 500 });
    expect(captured).toMatchObject({ status: 'succeeded', amount_received: 500 });
    const canceled = await client.payments.cancel(made.id, { cancellation_reason: 'duplicate' });
    expect(canceled.status).toBe('canceled');
    const found = await client.payments.retrieve(held.id, { expand: ['latest_charge'] });
    expect(found.latest_charge).toMatchObject({ object: 'charge', amount_captured: 500 });
    const { data } = await client.payments.list({ limit: 2, expand: ['data.payment_method'] });
    expect(data.map(({ id }) => id)).toEqual([held.id, made.id]);
    expect(data[0]?.payment_method).toMatchObject({ object: 'payment_method' });
  });

  it('of customers and payment methods', async () => {
    const before = Math.floor(Date.now() / 1000);
    const { id } = await client.customers.create({ name: 'Ada', email: 'ada@client.test' });
    expect(await client.customers.update(id, { name: null })).toMatchObject({ name: null });
    const method = await client.paymentMethods.attach('pm_card_visa', { customer: id });
    expect((await client.paymentMethods.retrieve(method.id)).customer).toBe(id);
    expect((await client.paymentMethods.list({ customer: id })).data).toHaveLength(1);
    expect((await client.customers.listPaymentMethods(id)).data[0]?.id).toBe(method.id);
    expect((await client.paymentMethods.detach(method.id)).customer).toBeNull();
    const created = { gte: before, lt: before + 1000 };
    const { data } = await client.customers.list({ email: 'ada@client.test', created });
    expect(data.map((customer) => customer.id)).toEqual([id]);
    expect(await client.customers.delete(id)).toEqual({ id, object: 'customer', deleted: true });
    expect(await client.customers.retrieve(id)).toEqual({ id, object: 'customer', deleted: true });
  });

  it('of charges and refunds', async () => {
    const { id } = await client.charges.create({ ...order, capture: false });
    expect((await client.charges.update(id, { description: 'x' })).description).toBe('x');
    expect((await client.charges.capture(id)).captured).toBe(true);
    const refund = await client.refunds.create({ charge: id, amount: 700 });
    expect((await client.refunds.update(refund.id, { metadata: { a: 'b' } })).metadata.a).toBe('b');
    expect((await client.refunds.retrieve(refund.id)).amount).toBe(700);
    expect((await client.refunds.list({ charge: id })).data).toHaveLength(1);
    expect(await rejected(client.refunds.cancel(refund.id))).toMatchObject({ status: 400 });
    expect((await client.charges.retrieve(id)).amount_refunded).toBe(700);
    expect((await client.charges.list({ limit: 1 })).data[0]?.id).toBe(id);
  });

  it('of idempotency keys, whatever characters they have', async () => {
    const idempotencyKey = 'order 42/a+b?%';
    await client.payments.create(payment, { idempotencyKey });
    const found = await client.idempotencyKeys.retrieve(idempotencyKey);
    expect(found).toMatchObject({ id: idempotencyKey, state: 'finished', status: 200 });
    const unknown = await rejected(client.idempotencyKeys.retrieve(randomUUID()));
    expect(unknown).toMatchObject({ status: 404, code: 'resource_missing' });
  });
});

describe('a response that is lost', () => {
  it('P1 pays once: the retry has the same key and gets the stored response', async () => {
    const retries: RetryEvent[] = [];
    const unlucky = connect({ fetch: losing(2), onRetry: (event) => retries.push(event) });
    const paid = await unlucky.payments.create(payment);
    expect(paid.status).toBe('succeeded');
    expect(retries.map(({ reason }) => reason)).toEqual(['connection-lost', 'connection-lost']);
    const report = responseReport(paid);
    expect(report).toMatchObject({ replayed: true, attempts: 3 });
    expect(report?.idempotencyKey).toBe(retries[0]?.idempotencyKey);
    expect(report?.originalRequest).not.toBe(report?.requestId);
    const { data } = await client.payments.list({ limit: 2 });
    expect(data[0]?.id).toBe(paid.id);
    expect((await client.charges.list({ payment_intent: paid.id })).data).toHaveLength(1);
  });

  it('P1 deletes once: the retry does not hear that there is no such customer', async () => {
    const { id } = await client.customers.create({});
    const unlucky = connect({ fetch: losing(1) });
    const gone = await unlucky.customers.delete(id);
    expect(gone.deleted).toBe(true);
    expect(responseReport(gone)?.replayed).toBe(true);
  });

  it('P1 a key of the caller’s survives the client: another client gets the same response', async () => {
    const idempotencyKey = `order-${randomUUID()}`;
    const dying = connect({ fetch: losing(1), maxAttempts: 1 });
    const lost = await dying.payments.create(payment, { idempotencyKey }).catch((e: unknown) => e);
    expect(lost).toBeInstanceOf(RetryError);
    expect(lost).toMatchObject({ mayHaveExecuted: true, idempotencyKey });
    const paid = await connect().payments.create(payment, { idempotencyKey });
    expect(responseReport(paid)).toMatchObject({ replayed: true, idempotencyKey, attempts: 1 });
    const again = await connect().payments.create(payment, { idempotencyKey });
    expect(again).toEqual(paid);
    const fresh = await client.payments.create(payment);
    expect(responseReport(fresh)).toMatchObject({ replayed: false });
    expect(fresh.id).not.toBe(paid.id);
  });
});

describe('a list', () => {
  it('is walked to its end without a gap or a repeat while others insert', async () => {
    const apiKey = await shop.createKey('walker');
    const walker = connect({ apiKey });
    const make = (name: string) => walker.customers.create({ name });
    const made: string[] = [];
    for (let batch = 0; batch < 25; batch += 1) {
      const names = Array.from({ length: 10 }, (_, index) => `${batch}-${index}`);
      made.push(...(await Promise.all(names.map(make))).map(({ id }) => id));
    }
    const seen: string[] = [];
    const inserted: Promise<{ id: string }>[] = [];
    for await (const { id } of walker.customers.list({ limit: 7 })) {
      if (seen.length % 7 === 0) inserted.push(make('meanwhile'));
      seen.push(id);
    }
    const late = new Set((await Promise.all(inserted)).map(({ id }) => id));
    expect(late.size).toBe(Math.ceil(made.length / 7));
    expect(seen.filter((id) => late.has(id))).toEqual([]);
    expect(seen).toEqual(made.toSorted().toReversed());
    const back: string[] = [];
    const oldest = seen.at(-1) ?? '';
    for await (const { id } of walker.customers.list({ limit: 50, ending_before: oldest })) {
      back.push(id);
    }
    expect(back.filter((id) => !late.has(id))).toEqual(made.toSorted().slice(1));
  });

  it('awaited is one page; nothing is sent before, and once for both', async () => {
    let sent = 0;
    const counting = connect({
      fetch: (...call) => {
        sent += 1;
        return fetch(...call);
      },
    });
    const list = counting.payments.list({ limit: 1 });
    expect(sent).toBe(0);
    const page = await list;
    expect(page).toMatchObject({ object: 'list', url: '/v1/payment_intents', has_more: true });
    for await (const { id } of list) {
      expect(id).toBe(page.data[0]?.id);
      break;
    }
    expect(sent).toBe(1);
  });

  it('that is refused rejects, awaited and walked', async () => {
    const list = client.payments.list({ starting_after: 'pi_unknown' });
    expect(await rejected(list)).toMatchObject({ status: 400, param: 'starting_after' });
    const walk = async () => {
      for await (const one of list) throw new Error(one.id);
    };
    expect(await rejected(walk())).toMatchObject({ code: 'resource_missing' });
  });
});

describe('a refusal is an ApiError', () => {
  it('invalid_request_error, with the parameter', async () => {
    const error = await rejected(client.payments.create({ amount: 0, currency: 'usd' }));
    expect(error).toMatchObject({
      name: 'ApiError',
      status: 400,
      type: 'invalid_request_error',
      code: 'amount_too_small',
      param: 'amount',
      mayHaveExecuted: false,
    });
    expect(error.message).toContain('at least 1');
    expect(error.requestId).toMatch(/^req_/);
    expect(error.idempotencyKey).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('card_error, with the reason, the charge and the payment', async () => {
    const declined = { ...payment, payment_method: 'pm_card_chargeDeclinedInsufficientFunds' };
    const error = await rejected(client.payments.create(declined));
    expect(error).toMatchObject({
      status: 402,
      type: 'card_error',
      code: 'card_declined',
      declineCode: 'insufficient_funds',
      charge: expect.stringMatching(/^ch_/) as string,
      paymentIntent: { object: 'payment_intent', status: 'requires_payment_method' },
    });
  });

  it('idempotency_error, where another process used the key for something else', async () => {
    const idempotencyKey = randomUUID();
    await connect().payments.create(payment, { idempotencyKey });
    const error = await rejected(
      connect().payments.create({ ...payment, amount: 9900 }, { idempotencyKey }),
    );
    expect(error).toMatchObject({ status: 409, type: 'idempotency_error', idempotencyKey });
    expect(error.report.attempts).toBe(1);
  });

  it('401 and 404', async () => {
    const stranger = connect({ apiKey: 'sk_test_unknown' });
    expect(await rejected(stranger.customers.create({}))).toMatchObject({ status: 401 });
    expect(await rejected(client.payments.retrieve('pi_unknown'))).toMatchObject({ status: 404 });
  });

  it('api_error where the server keeps failing, with what may have happened', async () => {
    const broken = await startServerOf(
      503,
      JSON.stringify({ error: { type: 'api_error', message: 'Away.' } }),
    );
    const failing = connect({ ...broken.options, baseDelayMs: 1, maxAttempts: 3 });
    const error = await rejected(failing.payments.create(payment));
    expect(error).toMatchObject({ status: 503, type: 'api_error', mayHaveExecuted: true });
    expect(error.report.attempts).toBe(3);
    broken.server.close();
  });

  it('also where a proxy responds with a page', async () => {
    const proxy = await startServerOf(403, '<h1>Forbidden</h1>');
    const error = await rejected(connect(proxy.options).payments.retrieve('pi_1'));
    expect(error).toMatchObject({ status: 403, type: 'invalid_request_error', code: undefined });
    expect(error.message).toContain('403');
    proxy.server.close();
  });
});

describe('what is refused before anything is sent', () => {
  it('ids that lead elsewhere', () => {
    for (const id of ['', '.', '..']) {
      expect(() => client.customers.delete(id)).toThrow(TypeError);
      expect(() => client.payments.cancel(id)).toThrow('id must be an id');
    }
  });

  it('options that are missing, misspelt or out of bounds', () => {
    expect(() => connect({ apiKey: '' })).toThrow('createClient needs an apiKey');
    expect(() => connect({ baseUrl: 'nowhere' })).toThrow('baseUrl must be a URL');
    expect(() => connect({ maxAttempts: 0 })).toThrow(RangeError);
    expect(() => connect({ retries: 3 } as Partial<ClientOptions>)).toThrow('retries');
  });

  it('a call that is aborted', async () => {
    const signal = AbortSignal.abort(new Error('The buyer left.'));
    await expect(client.payments.create(payment, { signal })).rejects.toThrow('The buyer left.');
  });
});

it('takes a base URL with a slash at its end', async () => {
  const slashed = connect({ baseUrl: `${shop.url}/` });
  expect((await slashed.customers.list({ limit: 1 })).object).toBe('list');
});

/** A fetch that loses the first responses, after the server has done the work. */
function losing(responses: number): typeof fetch {
  let left = responses;
  return async (input, init) => {
    const response = await fetch(input, init);
    if (left === 0) return response;
    left -= 1;
    await response.arrayBuffer();
    throw new TypeError('fetch failed');
  };
}

/** Starts a server that always sends this response. */
async function startServerOf(status: number, body: string) {
  const server: Server = createServer((request, response) => {
    request.resume();
    response.writeHead(status).end(body);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { server, options: { baseUrl: `http://127.0.0.1:${port}` } };
}
