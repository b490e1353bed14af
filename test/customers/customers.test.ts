/** Customers on the running application: create, retrieve, update, delete. */
import Stripe from 'stripe';
import { startApp, type RunningApp } from '../support/app';

const NOWHERE = {
  city: null,
  country: null,
  line1: null,
  line2: null,
  postal_code: null,
  state: null,
};

describe('customers, through the official SDK', () => {
  let app: RunningApp;
  let stripe: Stripe;

  beforeAll(async () => {
    app = await startApp();
    stripe = app.stripe();
  });
  afterAll(() => app.close());

  /** The error a call ends with, as the SDK's class for it. */
  async function refusal(call: Promise<unknown>): Promise<Stripe.errors.StripeError> {
    const outcome = await call.then(
      () => new Error('the call succeeded'),
      (error: unknown) => error,
    );
    expect(outcome).toBeInstanceOf(Stripe.errors.StripeError);
    return outcome as Stripe.errors.StripeError;
  }

  it('makes a customer of an empty body, with every field of the type', async () => {
    const { lastResponse, ...customer } = await stripe.customers.create();
    expect(lastResponse.requestId).toMatch(/^req_[0-9A-Za-z]{24}$/);
    expect(customer).toEqual({
      id: expect.stringMatching(/^cus_[0-9A-Za-z]{24}$/),
      object: 'customer',
      address: null,
      balance: 0,
      created: expect.any(Number),
      currency: null,
      default_source: null,
      delinquent: false,
      description: null,
      discount: null,
      email: null,
      invoice_prefix: expect.stringMatching(/^[A-Z0-9]{8}$/),
      invoice_settings: {
        custom_fields: null,
        default_payment_method: null,
        footer: null,
        rendering_options: null,
      },
      livemode: false,
      metadata: {},
      name: null,
      next_invoice_sequence: 1,
      phone: null,
      preferred_locales: [],
      shipping: null,
      tax_exempt: 'none',
      test_clock: null,
    });
    expect(Math.abs(customer.created - Date.now() / 1000)).toBeLessThan(3_600);
  });

  it('stores every descriptive parameter and shows the same when it is retrieved', async () => {
    const created = await stripe.customers.create({
      address: { line1: 'Hauptstraße 1', city: 'Berlin', country: 'DE' },
      description: 'Käufer & Co = 100 %',
      email: 'jenny@example.com',
      invoice_prefix: 'SHOP1',
      metadata: { order: '6735', constructor: 'Bau', '0': 'zero' },
      name: 'Jenny 🙂',
      phone: '+49 151 2345 6789',
      preferred_locales: ['de', 'en'],
      shipping: { name: 'Jenny', address: { line1: 'Packstation' }, phone: '+4915123456789' },
      tax_exempt: 'reverse',
    });
    expect(created).toMatchObject({
      address: { ...NOWHERE, line1: 'Hauptstraße 1', city: 'Berlin', country: 'DE' },
      description: 'Käufer & Co = 100 %',
      email: 'jenny@example.com',
      invoice_prefix: 'SHOP1',
      metadata: { order: '6735', constructor: 'Bau', '0': 'zero' },
      name: 'Jenny 🙂',
      phone: '+49 151 2345 6789',
      preferred_locales: ['de', 'en'],
      shipping: {
        name: 'Jenny',
        address: { ...NOWHERE, line1: 'Packstation' },
        phone: '+4915123456789',
      },
      tax_exempt: 'reverse',
    });
    const { lastResponse: _, ...same } = await stripe.customers.retrieve(created.id);
    const { lastResponse: __, ...first } = created;
    expect(same).toEqual(first);
  });

  it('changes what an update names and leaves the rest', async () => {
    const { id } = await stripe.customers.create({
      name: 'Jenny',
      email: 'a@example.com',
      phone: '123',
      metadata: { a: '1', b: '2' },
      address: { line1: 'Here', city: 'Berlin' },
    });
    const updated = await stripe.customers.update(id, {
      email: 'b@example.com',
      phone: '',
      metadata: { a: '', c: '3' },
      address: { line1: 'There' },
    });
    expect(updated).toMatchObject({
      name: 'Jenny',
      email: 'b@example.com',
      phone: null,
      metadata: { b: '2', c: '3' },
      address: { ...NOWHERE, line1: 'There' },
    });
    expect(updated.metadata).not.toHaveProperty('a');
    const emptied = await stripe.customers.update(id, { metadata: '', address: '' });
    expect(emptied).toMatchObject({ metadata: {}, address: null, name: 'Jenny' });
    expect(await stripe.customers.update(id, {})).toMatchObject({ email: 'b@example.com' });
  });

  it('keeps every entry when twenty updates of metadata race', async () => {
    const { id } = await stripe.customers.create();
    const names = Array.from({ length: 20 }, (_, index) => `entry${index}`);
    const patient = app.stripe({ maxNetworkRetries: 10 });
    await Promise.all(
      names.map((name) => patient.customers.update(id, { metadata: { [name]: name } })),
    );
    const customer = (await stripe.customers.retrieve(id)) as Stripe.Customer;
    expect(Object.keys(customer.metadata).toSorted()).toEqual(names.toSorted());
  });

  it('leaves a stub of a deleted customer, out of lists and out of reach of updates', async () => {
    const email = 'gone@example.com';
    const { id } = await stripe.customers.create({ email, metadata: { secret: 'x' } });
    const { lastResponse: _, ...deleted } = await stripe.customers.del(id);
    expect(deleted).toEqual({ id, object: 'customer', deleted: true });
    const { lastResponse: __, ...stub } = await stripe.customers.retrieve(id);
    expect(stub).toEqual({ id, object: 'customer', deleted: true });
    expect((await stripe.customers.list({ email })).data).toEqual([]);
    expect(await refusal(stripe.customers.update(id, { name: 'x' }))).toMatchObject({
      statusCode: 404,
      code: 'resource_missing',
      param: 'id',
    });
    expect(await refusal(stripe.customers.del(id))).toMatchObject({ statusCode: 404 });
  });

  it('refuses an id that names nothing with 404 and a message', async () => {
    const error = await refusal(stripe.customers.retrieve('cus_nobody'));
    expect(error).toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
    expect(error).toMatchObject({
      statusCode: 404,
      code: 'resource_missing',
      param: 'id',
      message: "No such customer: 'cus_nobody'",
    });
  });

  it.each<[string, object, object]>([
    ['an unknown parameter', { emial: 'a@b.c' }, { code: 'parameter_unknown', param: 'emial' }],
    [
      'an unknown parameter of a hash',
      { address: { street: 'x' } },
      { code: 'parameter_unknown', param: 'address[street]' },
    ],
    ['an email that is none', { email: 'nobody' }, { code: 'email_invalid', param: 'email' }],
    [
      'a shipping address without a name',
      { shipping: { address: { line1: 'x' } } },
      { code: 'parameter_missing', param: 'shipping[name]' },
    ],
    ['a hash that is none', { address: 'here' }, { param: 'address' }],
    ['a metadata key of 41 characters', { metadata: { ['k'.repeat(41)]: 'v' } }, {}],
    ['a metadata value of 501 characters', { metadata: { k: 'v'.repeat(501) } }, {}],
    [
      '51 metadata keys',
      { metadata: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, 'v'])) },
      { param: 'metadata' },
    ],
    ['an expand of what is no reference', { expand: ['email'] }, { param: 'expand' }],
    ['a card number', { description: '4242 4242 4242 4242' }, { code: 'card_number_refused' }],
  ])('refuses %s with 400 and says which parameter', async (_, params, expected) => {
    const error = await refusal(stripe.customers.create(params));
    expect(error).toMatchObject({
      type: 'StripeInvalidRequestError',
      statusCode: 400,
      ...expected,
    });
    expect(error.message.length).toBeGreaterThan(20);
  });

  it('accepts 50 metadata keys of 40 characters with values of 500', async () => {
    const metadata = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`k${i}`.padEnd(40, '_'), 'ü'.repeat(500)]),
    );
    expect((await stripe.customers.create({ metadata })).metadata).toEqual(metadata);
  });

  it('takes a JSON body of the same meaning', async () => {
    const res = await fetch(`${app.url}/v1/customers`, {
      method: 'POST',
      headers: { authorization: `Bearer ${app.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Json', phone: null, metadata: { n: 1, yes: true, no: null } }),
    });
    expect(res.status).toBe(200);
    expect(await res.json()).toMatchObject({
      name: 'Json',
      phone: null,
      metadata: { n: '1', yes: 'true' },
    });
  });

  it('P5 keeps accounts, and sandbox and live mode of one account, apart', async () => {
    const { id } = await stripe.customers.create({ email: 'mine@example.com' });
    const strangers = [
      app.stripe({ apiKey: await app.createKey('other') }),
      app.stripe({ apiKey: await app.createKey('shop', true) }),
    ];
    for (const stranger of strangers) {
      expect(await refusal(stranger.customers.retrieve(id))).toMatchObject({ statusCode: 404 });
      expect(await refusal(stranger.customers.update(id, { name: 'x' }))).toMatchObject({
        statusCode: 404,
      });
      expect(await refusal(stranger.customers.del(id))).toMatchObject({ statusCode: 404 });
      expect((await stranger.customers.list({ email: 'mine@example.com' })).data).toEqual([]);
      expect(await refusal(stranger.customers.list({ starting_after: id }))).toMatchObject({
        code: 'resource_missing',
        param: 'starting_after',
      });
    }
  });
});
