/** The main job, end to end: the official SDK as a storefront's back end uses it. */
import { randomUUID } from 'node:crypto';
import Stripe from 'stripe';
import { type RunningApp, startApp } from '../support/app';

let shop: RunningApp;
let stripe: Stripe;
beforeAll(async () => {
  shop = await startApp();
  stripe = shop.stripe();
});
afterAll(() => shop.close());

const payment = { amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true };

/** A client whose connection breaks after the server has done the work, `times` times. */
function losingResponses(times: number, options: Partial<Stripe.StripeConfig> = {}) {
  const keys: (string | null)[] = [];
  const replayed: (string | null)[] = [];
  const losing: typeof fetch = async (input, init) => {
    keys.push(new Headers(init?.headers).get('idempotency-key'));
    const response = await fetch(input, init);
    await response.clone().arrayBuffer();
    replayed.push(response.headers.get('idempotent-replayed'));
    if (keys.length <= times) throw new TypeError('connection lost');
    return response;
  };
  const httpClient = Stripe.createFetchHttpClient(losing);
  return { stripe: shop.stripe({ httpClient, ...options }), keys, replayed };
}

async function rejected(promise: Promise<unknown>): Promise<Stripe.errors.StripeError> {
  try {
    await promise;
  } catch (error) {
    return error as Stripe.errors.StripeError;
  }
  throw new Error('it was accepted');
}

describe('a storefront', () => {
  it('creates a customer, takes a payment and refunds it', async () => {
    const customer = await stripe.customers.create({ email: 'ada@example.com', name: 'Ada' });
    const paid = await stripe.paymentIntents.create({ ...payment, customer: customer.id });
    expect(paid).toMatchObject({
      object: 'payment_intent',
      status: 'succeeded',
      amount_received: 2000,
      customer: customer.id,
      livemode: false,
    });
    const part = await stripe.refunds.create({ payment_intent: paid.id, amount: 500 });
    const rest = await stripe.refunds.create({ payment_intent: paid.id });
    expect([part.status, part.amount, rest.amount]).toEqual(['succeeded', 500, 1500]);
    const charge = await stripe.charges.retrieve(paid.latest_charge as string);
    expect(charge).toMatchObject({ refunded: true, amount_refunded: 2000 });
    const again = await rejected(stripe.refunds.create({ payment_intent: paid.id }));
    expect(again).toMatchObject({ statusCode: 400, code: 'charge_already_refunded' });
  });

  it('R6 R17 is given the first response again for the same key', async () => {
    const idempotencyKey = randomUUID();
    const first = await stripe.paymentIntents.create(payment, { idempotencyKey });
    const second = await stripe.paymentIntents.create(payment, { idempotencyKey });
    expect(JSON.stringify(second)).toBe(JSON.stringify(first));
    expect(second.lastResponse.headers['idempotent-replayed']).toBe('true');
    expect(second.lastResponse.headers['original-request']).toBe(first.lastResponse.requestId);
    expect(second.lastResponse.requestId).not.toBe(first.lastResponse.requestId);
    expect(second.lastResponse.idempotencyKey).toBe(idempotencyKey);
  });

  it('P1 R17 pays once though the response is lost: the SDK retries by itself with its own key', async () => {
    const { stripe: unlucky, keys, replayed } = losingResponses(2, { maxNetworkRetries: 2 });
    const before = await stripe.paymentIntents.list({ limit: 100 });
    const paid = await unlucky.paymentIntents.create(payment);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^stripe-node-retry-/);
    expect(replayed).toEqual([null, 'true', 'true']);
    expect(paid.status).toBe('succeeded');
    const after = await stripe.paymentIntents.list({ limit: 100 });
    expect(after.data.length).toBe(before.data.length + 1);
  });

  it('P1 refunds once though the response is lost', async () => {
    const paid = await stripe.paymentIntents.create(payment);
    const { stripe: unlucky } = losingResponses(1, { maxNetworkRetries: 1 });
    const refund = await unlucky.refunds.create({ payment_intent: paid.id, amount: 700 });
    const charge = await stripe.charges.retrieve(paid.latest_charge as string);
    expect(refund.amount).toBe(700);
    expect(charge.amount_refunded).toBe(700);
  });

  it('R7 is told what differs when a key is used for something else, as the SDK’s own error class', async () => {
    const idempotencyKey = randomUUID();
    await stripe.paymentIntents.create(payment, { idempotencyKey });
    const error = await rejected(
      stripe.paymentIntents.create({ ...payment, amount: 9900 }, { idempotencyKey }),
    );
    expect(error).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
    expect(error).toMatchObject({ statusCode: 400, code: 'idempotency_key_reused' });
    expect(error.message).toContain('amount');
    expect(error.message).not.toContain('9900');
    const elsewhere = await rejected(stripe.customers.create({}, { idempotencyKey }));
    expect(elsewhere).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
  });

  it('R13 is told of a decline in the same words each time, and a new key may try again', async () => {
    const idempotencyKey = randomUUID();
    const declined = { ...payment, payment_method: 'pm_card_chargeDeclinedInsufficientFunds' };
    const first = await rejected(stripe.paymentIntents.create(declined, { idempotencyKey }));
    const second = await rejected(stripe.paymentIntents.create(declined, { idempotencyKey }));
    expect(first).toBeInstanceOf(Stripe.errors.StripeCardError);
    expect(first).toMatchObject({ code: 'card_declined', decline_code: 'insufficient_funds' });
    expect(second.raw).toEqual({
      ...(first.raw as object),
      headers: expect.anything(),
      requestId: expect.anything(),
    });
    expect(second.headers?.['idempotent-replayed']).toBe('true');
    const id = String(first.payment_intent?.id);
    const retried = await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' });
    expect(retried.status).toBe('succeeded');
  });

  it('R14 may correct a request that was refused as invalid, with the same key', async () => {
    const idempotencyKey = randomUUID();
    const error = await rejected(
      stripe.paymentIntents.create({ ...payment, amount: -1 }, { idempotencyKey }),
    );
    expect(error).toMatchObject({ statusCode: 400, param: 'amount' });
    const corrected = await stripe.paymentIntents.create(payment, { idempotencyKey });
    expect(corrected.status).toBe('succeeded');
  });

  it('R20 may ask what became of a key', async () => {
    const idempotencyKey = 'order 42/a+b';
    const paid = await stripe.paymentIntents.create(payment, { idempotencyKey });
    const found = await stripe.rawRequest(
      'GET',
      `/v1/idempotency_keys/${encodeURIComponent(idempotencyKey)}`,
    );
    expect(found).toMatchObject({
      id: idempotencyKey,
      object: 'idempotency_key',
      state: 'finished',
      operation: 'POST /v1/payment_intents',
      original_request: paid.lastResponse.requestId,
      status: 200,
    });
    const { created, expires_at } = found as unknown as { created: number; expires_at: number };
    expect(expires_at - created).toBe(86_400);
    const longest = `~${'%'.repeat(254)}`;
    const unknown = await rejected(
      stripe.rawRequest('GET', `/v1/idempotency_keys/${encodeURIComponent(longest)}`),
    );
    expect(unknown).toMatchObject({ statusCode: 404, code: 'resource_missing' });
  });
});

describe('tenants', () => {
  it('P5 R3 never meet: the same key and body are two payments, and keys and objects of others are 404', async () => {
    const rival = shop.stripe({ apiKey: await shop.createKey('rival') });
    const idempotencyKey = randomUUID();
    const mine = await stripe.paymentIntents.create(payment, { idempotencyKey });
    const theirs = await rival.paymentIntents.create(payment, { idempotencyKey });
    expect(theirs.id).not.toBe(mine.id);
    expect(theirs.lastResponse.headers['idempotent-replayed']).toBeUndefined();
    const charge = mine.latest_charge as string;
    const customer = await stripe.customers.create({});
    const attempts = [
      rival.paymentIntents.retrieve(mine.id),
      rival.paymentIntents.cancel(mine.id),
      rival.paymentIntents.confirm(mine.id),
      rival.paymentIntents.capture(mine.id),
      rival.paymentIntents.update(mine.id, { description: 'x' }),
      rival.charges.retrieve(charge),
      rival.charges.update(charge, { description: 'x' }),
      rival.customers.retrieve(customer.id),
      rival.customers.del(customer.id),
      rival.paymentMethods.retrieve(mine.payment_method as string),
      rival.rawRequest('GET', `/v1/idempotency_keys/${randomUUID()}`),
    ];
    for (const attempt of attempts) {
      expect(await rejected(attempt)).toMatchObject({ statusCode: 404, code: 'resource_missing' });
    }
    const refund = await rejected(rival.refunds.create({ payment_intent: mine.id }));
    expect(refund).toMatchObject({ statusCode: 400, code: 'resource_missing' });
    expect((await rival.charges.list({ payment_intent: mine.id })).data).toEqual([]);
    const own = await rival.rawRequest('GET', `/v1/idempotency_keys/${idempotencyKey}`);
    expect(own).toMatchObject({ original_request: theirs.lastResponse.requestId });
  });

  it('P5 R3 test and live mode of one account are two scopes', async () => {
    const live = shop.stripe({ apiKey: await shop.createKey('shop', true) });
    const idempotencyKey = randomUUID();
    const mine = await stripe.customers.create({ name: 'Ada' }, { idempotencyKey });
    const theirs = await live.customers.create({ name: 'Ada' }, { idempotencyKey });
    expect([mine.livemode, theirs.livemode]).toEqual([false, true]);
    expect(theirs.id).not.toBe(mine.id);
    expect(await rejected(live.customers.retrieve(mine.id))).toMatchObject({ statusCode: 404 });
  });
});
