/** Responses of a running server, each checked against the OpenAPI document. */
import { randomUUID } from 'node:crypto';
import Stripe from 'stripe';
import { DataSource } from 'typeorm';
import { runAs } from '../../src/accounts';
import { declaredParams } from '../../src/wire';
import { startApp, type RunningApp } from '../support/app';
import { holdCharges } from '../support/held-charges';
import { CheckedFetch, type Document, type Operation, operationsOf } from './checked-fetch';

let shop: RunningApp;
let document: Document;
let checked: CheckedFetch;
let stripe: Stripe;
beforeAll(async () => {
  shop = await startApp({ env: { BODY_LIMIT_BYTES: '1024' } });
  document = (await (await fetch(`${shop.url}/openapi.json`)).json()) as Document;
  checked = new CheckedFetch(document);
  stripe = shop.stripe({
    httpClient: Stripe.createFetchHttpClient(checked.fetch),
    maxNetworkRetries: 0,
  });
});
afterAll(() => shop.close());

/** Sends what no SDK would. */
function send(method: string, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${shop.apiKey}`, ...(init.headers as object) };
  return checked.fetch(shop.url + path, { ...init, method: method.toUpperCase(), headers });
}

const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => 'not refused',
    (error: { statusCode?: number }) => error.statusCode,
  );

/** Everything filled in that can be. */
const address = {
  city: 'London',
  country: 'GB',
  line1: '12 St James’s Square',
  line2: 'c/o Babbage',
  postal_code: 'SW1Y 4JH',
  state: 'London',
};
const shipping = { address, name: 'Ada', phone: '1', carrier: 'Mail', tracking_number: 'x' };
const order = { amount: 2000, currency: 'usd' };
const payment = { ...order, payment_method: 'pm_card_visa', confirm: true };

describe('responses of success are as the document says, with no field beside', () => {
  it('of customers', async () => {
    const { id } = await stripe.customers.create({
      name: 'Ada',
      email: 'ada@example.com',
      description: 'Countess',
      phone: '1',
      address,
      shipping: { address, name: 'Ada', phone: '1' },
      metadata: { order: '1' },
      preferred_locales: ['en-GB'],
      tax_exempt: 'exempt',
      payment_method: 'pm_card_visa',
      source: 'tok_mastercard',
      invoice_settings: { default_payment_method: 'pm_card_visa' },
    });
    await stripe.customers.create({});
    const expand = ['default_source', 'invoice_settings.default_payment_method.customer'];
    const found = await stripe.customers.retrieve(id, { expand });
    expect(found).toMatchObject({ default_source: { object: 'payment_method' } });
    await stripe.customers.update(id, { address: null, shipping: null, name: '' });
    await stripe.customers.list({ expand: ['data.default_source'] });
    await stripe.customers.listPaymentMethods(id, { expand: ['data.customer'] });
    await stripe.customers.del(id);
    await stripe.customers.retrieve(id);
  });

  it('of payment intents and what they refer to', async () => {
    const customer = await stripe.customers.create({ name: 'Ada' });
    const { id } = await stripe.paymentIntents.create({
      ...order,
      customer: customer.id,
      capture_method: 'manual',
      automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
      description: 'Order 1',
      metadata: { order: '1' },
      receipt_email: 'ada@example.com',
      setup_future_usage: 'off_session',
      shipping,
      statement_descriptor: 'SHOP',
      statement_descriptor_suffix: 'ORDER 1',
    });
    await stripe.paymentIntents.update(id, { amount: 3000 });
    const expand = ['customer', 'latest_charge.payment_intent', 'payment_method.customer'];
    await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa', expand });
    const captured = await stripe.paymentIntents.capture(id, { amount_to_capture: 1000, expand });
    expect(captured.latest_charge).toMatchObject({ payment_intent: { id } });
    const found = await stripe.paymentIntents.retrieve(id, { expand });
    expect(found.customer).toMatchObject({ name: 'Ada' });
    const other = await stripe.paymentIntents.create({ ...payment, capture_method: 'manual' });
    await stripe.paymentIntents.cancel(other.id, { cancellation_reason: 'abandoned' });
    await stripe.charges.retrieve(other.latest_charge as string);
    await stripe.customers.del(customer.id);
    const list = await stripe.paymentIntents.list({ expand: ['data.customer'] });
    expect(list.data[1]?.customer).toMatchObject({ deleted: true });
  });

  it('of a payment the buyer has to authenticate', async () => {
    const card = 'pm_card_authenticationRequired';
    const here = await stripe.paymentIntents.create({ ...payment, payment_method: card });
    expect(here.next_action?.type).toBe('use_stripe_sdk');
    const there = await stripe.paymentIntents.create({
      ...payment,
      payment_method: card,
      return_url: 'https://shop.example/back',
    });
    expect(there.next_action?.type).toBe('redirect_to_url');
  });

  it('of charges', async () => {
    const { id } = await stripe.charges.create({ ...order, capture: false, shipping });
    await stripe.charges.update(id, { description: 'Order 2', metadata: { order: '2' } });
    await stripe.charges.capture(id, { amount: 500 });
    const paid = await stripe.paymentIntents.create(payment);
    await stripe.charges.retrieve(paid.latest_charge as string, { expand: ['payment_intent'] });
    const list = await stripe.charges.list({ expand: ['data.payment_intent', 'data.customer'] });
    expect(list.data[0]?.payment_intent).toMatchObject({ id: paid.id });
  });

  it('of refunds', async () => {
    const paid = await stripe.paymentIntents.create(payment);
    const expand = ['charge', 'payment_intent', 'payment_method'];
    const refund = { payment_intent: paid.id, amount: 700, metadata: { order: '1' } };
    const { id } = await stripe.refunds.create({ ...refund, reason: 'duplicate', expand });
    await stripe.refunds.update(id, { metadata: { order: '' } });
    await stripe.refunds.retrieve(id, { expand });
    await stripe.refunds.list({ payment_intent: paid.id, expand: ['data.charge'] });
    await shop.app
      .get(DataSource)
      .query(`UPDATE refunds SET status = 'requires_action' WHERE id = $1`, [id]);
    await stripe.refunds.cancel(id);
    await shop.app
      .get(DataSource)
      .query(`UPDATE refunds SET status = 'failed', failure_reason = 'declined' WHERE id = $1`, [
        id,
      ]);
    expect((await stripe.refunds.retrieve(id)).failure_reason).toBe('declined');
  });

  it('of payment methods, idempotency keys and health', async () => {
    const customer = await stripe.customers.create({});
    const method = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
    await stripe.paymentMethods.retrieve(method.id, { expand: ['customer'] });
    await stripe.paymentMethods.list({ customer: customer.id, expand: ['data.customer'] });
    await stripe.paymentMethods.detach(method.id);
    const idempotencyKey = randomUUID();
    await stripe.customers.create({}, { idempotencyKey });
    await stripe.customers.create({}, { idempotencyKey });
    await send('get', `/v1/idempotency_keys/${idempotencyKey}`);
    await send('get', '/health');
  });
});

it('every example is carried out as it stands', async () => {
  const examples = [...operationsOf(document)].flatMap(([route, { requestBody }]) =>
    Object.values(requestBody?.content ?? {}).flatMap(({ example }) =>
      example ? [[route, example] as const] : [],
    ),
  );
  expect(examples.length).toBeGreaterThan(4);
  for (const [route, example] of examples) {
    const [method = '', path = ''] = route.split(' ');
    const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
    const { status } = await send(method, path, { headers, body: JSON.stringify(example) });
    expect([route, status]).toEqual([route, 200]);
  }
});

describe('refusals are as the document says', () => {
  it('402, with what was declined', async () => {
    const declined = { ...payment, payment_method: 'pm_card_chargeDeclined' };
    expect(await refused(stripe.paymentIntents.create(declined))).toBe(402);
    const { id } = await stripe.paymentIntents.create(order);
    const confirm = { payment_method: 'pm_card_chargeDeclinedExpiredCard' };
    expect(await refused(stripe.paymentIntents.confirm(id, confirm))).toBe(402);
    await stripe.paymentIntents.retrieve(id);
    expect(await refused(stripe.charges.create({ ...order, source: 'tok_chargeDeclined' }))).toBe(
      402,
    );
    const list = await stripe.charges.list();
    expect(list.data[0]?.outcome?.type).toBe('issuer_declined');
  });

  it('400, with the payment intent whose state does not allow it', async () => {
    const { id } = await stripe.paymentIntents.create(payment);
    expect(await refused(stripe.paymentIntents.cancel(id))).toBe(400);
  });

  it('each operation: no key, another account, a wrong body, an unknown id, a key of another', async () => {
    const used = randomUUID();
    await stripe.customers.create({}, { idempotencyKey: used });
    const customer = await stripe.customers.create({});
    for (const [route, operation] of operationsOf(document)) {
      const [method = '', template = ''] = route.split(' ');
      const path = template.replaceAll(/\{\w+\}/g, 'unknown_1');
      const keyed = operation.parameters.some(({ name }) => name === 'Idempotency-Key');
      const minimal = new URLSearchParams(minimalBody(operation, customer.id));
      const post = (
        body: string,
        type = 'application/x-www-form-urlencoded',
        key: string = randomUUID(),
      ) =>
        send(method, path, {
          headers: { 'content-type': type, ...(keyed ? { 'idempotency-key': key } : {}) },
          body,
        });
      if (path.startsWith('/v1/')) {
        await send(method, path, { headers: { authorization: 'Bearer sk_test_wrong' } });
        await send(method, path, { headers: { 'stripe-account': 'acct_1' } });
      }
      if (method === 'get') {
        await send(method, path);
        await send(method, `${path}?a=1&a=2`);
        continue;
      }
      await post(minimal.toString());
      await post('unknown=1');
      await post('a'.repeat(2000));
      await post('a', 'text/plain');
      if (keyed) await post('another=1', undefined, used);
    }
  });

  it('each operation takes the parameters that are documented for it, and no other', async () => {
    const all = [...new Set(declaredParams.map(({ property }) => property))];
    for (const [route, operation] of operationsOf(document)) {
      const [method = '', template = ''] = route.split(' ');
      const own = parametersOf(operation);
      // These two have none, and nothing reads their query.
      if (/health|idempotency_keys/.test(route)) continue;
      const offer = async (names: readonly string[]) => {
        const pairs = new URLSearchParams(
          names.map((name): [string, string] => [name, 'x']),
        ).toString();
        const path = template.replaceAll(/\{\w+\}/g, 'unknown_1');
        const headers = { 'content-type': 'application/x-www-form-urlencoded' };
        const keyed = { ...headers, 'idempotency-key': randomUUID() };
        const response =
          method === 'get'
            ? await send(method, `${path}?${pairs}`)
            : await send(method, path, { headers: keyed, body: pairs });
        return ((await response.json()) as { error: { message: string } }).error.message;
      };
      expect([route, await offer([...own, 'unheard_of'])]).toEqual([
        route,
        'Received unknown parameter: unheard_of',
      ]);
      const others = all.filter((name) => !own.includes(name));
      // The message names the first ten.
      for (let from = 0; from < others.length; from += 10) {
        const ten = others.slice(from, from + 10);
        const message = await offer(ten);
        expect([route, message]).toEqual([route, expect.stringContaining(`: ${ten.join(', ')}`)]);
      }
    }
  });

  it('a key is required exactly where the document says so', async () => {
    for (const [route, { parameters }] of operationsOf(document)) {
      const [method = '', template = ''] = route.split(' ');
      const key = parameters.find(({ name }) => name === 'Idempotency-Key');
      const response = await send(method, template.replaceAll(/\{\w+\}/g, 'unknown_1'));
      const { error } = (await response.json()) as { error?: { code?: string } };
      expect([route, error?.code === 'idempotency_key_missing']).toEqual([
        route,
        key?.required === true,
      ]);
    }
  });

  it('409 while the first request with a key runs, with Retry-After', async () => {
    const charges = await holdCharges(shop.databaseUrl);
    const headers = {
      authorization: `Bearer ${shop.apiKey}`,
      'idempotency-key': randomUUID(),
      'content-type': 'application/json',
    };
    const pay = () =>
      checked.fetch(`${shop.url}/v1/payment_intents`, {
        method: 'POST',
        headers,
        body: JSON.stringify(payment),
      });
    const first = pay();
    await charges.arrived();
    const second = await pay();
    expect([second.status, second.headers.get('retry-after')]).toEqual([409, '1']);
    await charges.release();
    expect((await first).status).toBe(200);
  });

  it('422 for a reused key on a server that is set so', async () => {
    const strict = await startApp({ env: { IDEMPOTENCY_REUSED_STATUS: '422' } });
    const create = (body: string) =>
      checked.fetch(`${strict.url}/v1/customers`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${strict.apiKey}`,
          'idempotency-key': 'order-1',
          'content-type': 'application/json',
        },
        body,
      });
    await create('{}');
    expect((await create('{"name":"Ada"}')).status).toBe(422);
    await strict.close();
  });
});

it('every operation has responded with every status that is documented for it', () => {
  // A capture is declined by an acquirer of one's own alone; 500 and 503 come below.
  const elsewhere = /capture 402$| 422$| 50[03]$/;
  const documented = [...operationsOf(document)].flatMap(([route, { responses }]) =>
    Object.keys(responses).map((status) => `${route} ${status}`),
  );
  const missing = documented.filter((name) => !checked.seen.has(name) && !elsewhere.test(name));
  expect(missing).toEqual([]);
});

describe('without its database every operation responds with 503 as documented', () => {
  /** No look-up of it has ever succeeded, so every request looks it up. */
  let unused: string;
  beforeAll(async () => {
    unused = await shop.createKey('shop');
    await shop.app.get(DataSource).destroy();
  });
  afterAll(() => shop.app.get(DataSource).initialize());

  const routes = () =>
    [...operationsOf(document).keys()].map((route) => {
      const [method = '', template = ''] = route.split(' ');
      return { route, method, path: template.replaceAll(/\{\w+\}/g, 'unknown_1') };
    });

  it('where the API key must be looked up', async () => {
    for (const { route, method, path } of routes()) {
      const headers = { authorization: `Bearer ${unused}`, 'idempotency-key': randomUUID() };
      const { status } = await send(method, path, { headers });
      expect([route, status]).toEqual([route, 503]);
    }
  });

  it('where it is known who asks', async () => {
    const principal = { account: 'shop', livemode: false, apiKey: 'key_internal' };
    for (const { route, method, path } of routes()) {
      const headers = { 'idempotency-key': randomUUID() };
      const res = await runAs(principal, async () =>
        shop.app.inject({ method: method.toUpperCase() as 'GET', url: path, headers }),
      );
      const { statusCode: status, body } = res;
      checked.check(method, path, new Response(body, { status, headers: headersOf(res) }), body);
      expect([route, status]).toEqual([route, 503]);
    }
  });
});

/** The headers of an injected response. */
function headersOf({ headers }: { headers: object }): Headers {
  return new Headers(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

/** The names of what it takes in its query or its body. */
function parametersOf({ parameters, requestBody }: Operation): string[] {
  const query = parameters.filter((parameter) => parameter.in === 'query');
  return [...query.map(({ name }) => name), ...Object.keys(bodySchema(requestBody).properties)];
}

function bodySchema(requestBody: Operation['requestBody']) {
  const ref = requestBody?.content['application/json']?.schema.$ref ?? '';
  return {
    properties: {},
    required: [],
    ...document.components.schemas?.[ref.split('/').at(-1) ?? ''],
  } as { properties: object; required: string[] };
}

/** What an operation must be sent. */
function minimalBody({ requestBody }: Operation, customer: string): Record<string, string> {
  const { required } = bodySchema(requestBody);
  const values: Record<string, string> = { amount: '2000', currency: 'usd', customer };
  return Object.fromEntries(required.map((name) => [name, values[name] ?? '']));
}
