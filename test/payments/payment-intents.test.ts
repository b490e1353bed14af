/** Payment intents on the running application, through the official SDK: paying, capturing, looking up. */
import {
  acquirer,
  app,
  once,
  pay,
  refusal,
  startOneApplication,
  stripe,
  USD,
} from './payments.fixture';

startOneApplication();

describe('from the order to the money', () => {
  test('a payment is created, given a payment method, confirmed and paid', async () => {
    const created = await stripe.paymentIntents.create(USD);
    expect(created.status).toBe('requires_payment_method');
    expect(created.client_secret).toMatch(new RegExp(`^${created.id}_secret_`));
    const chosen = await stripe.paymentIntents.update(created.id, {
      payment_method: 'pm_card_mastercard',
    });
    expect(chosen.status).toBe('requires_confirmation');
    expect(chosen.payment_method).toMatch(/^pm_[0-9A-Za-z]{24}$/);
    const paid = await stripe.paymentIntents.confirm(created.id);
    expect(paid).toMatchObject({
      status: 'succeeded',
      amount_received: 2000,
      amount_capturable: 0,
    });
    expect(await stripe.paymentIntents.retrieve(created.id)).toMatchObject(paid);
    const charge = await stripe.charges.retrieve(paid.latest_charge as string);
    expect(charge).toMatchObject({
      amount: 2000,
      amount_captured: 2000,
      captured: true,
      paid: true,
      payment_intent: paid.id,
      payment_method: paid.payment_method,
      status: 'succeeded',
      payment_method_details: { card: { brand: 'mastercard', last4: '4444' }, type: 'card' },
    });
  });

  test('create with confirm pays at once', async () => {
    expect(await pay()).toMatchObject({ status: 'succeeded', amount_received: 2000 });
  });

  test('what describes a payment is kept, on its charge too', async () => {
    const shipping = {
      name: 'Ada',
      address: { line1: '1 Main St', city: 'Paris', country: 'FR' },
      carrier: 'UPS',
      tracking_number: '1Z',
    };
    const described = {
      description: 'Order 6735',
      metadata: { order: '6735' },
      receipt_email: 'ada@example.com',
      statement_descriptor: 'SHOP',
      statement_descriptor_suffix: '6735',
      shipping,
    };
    // The SDK's types no longer name it, and integrations still send it.
    const older = { payment_method_types: ['card'] };
    const intent = await pay({
      ...described,
      ...older,
      return_url: 'https://shop.example/back',
      confirmation_method: 'manual',
      setup_future_usage: 'off_session',
      expand: ['latest_charge'],
    });
    const address = { ...shipping.address, line2: null, postal_code: null, state: null };
    const kept = { ...described, shipping: { ...shipping, address, phone: null } };
    expect(intent).toMatchObject({ ...kept, confirmation_method: 'manual' });
    expect(intent.latest_charge).toMatchObject(kept);
  });

  test.each(['usd', 'jpy', 'bhd'])(
    'amounts of %s are integers of its smallest unit',
    async (currency) => {
      expect(await pay({ amount: 99_999_999, currency })).toMatchObject({
        amount_received: 99_999_999,
        currency,
      });
    },
  );

  test('every field of the SDK’s type is there, nullable ones as null', async () => {
    const intent = await pay();
    for (const field of [
      'application',
      'application_fee_amount',
      'automatic_payment_methods',
      'canceled_at',
      'cancellation_reason',
      'customer',
      'customer_account',
      'description',
      'last_payment_error',
      'next_action',
      'on_behalf_of',
      'processing',
      'receipt_email',
      'review',
      'setup_future_usage',
      'shipping',
      'source',
      'statement_descriptor',
      'statement_descriptor_suffix',
      'transfer_group',
    ] as const) {
      expect(intent).toHaveProperty(field, null);
    }
  });
});

describe('manual capture', () => {
  const authorise = () => pay({ capture_method: 'manual' });

  test('holds the amount until it is captured', async () => {
    const held = await authorise();
    expect(held).toMatchObject({
      status: 'requires_capture',
      amount_capturable: 2000,
      amount_received: 0,
    });
    const charge = await stripe.charges.retrieve(held.latest_charge as string);
    expect(charge).toMatchObject({ captured: false, amount_captured: 0, paid: true });
    const captured = await stripe.paymentIntents.capture(held.id, { metadata: { shipped: 'yes' } });
    expect(captured).toMatchObject({
      status: 'succeeded',
      amount_capturable: 0,
      amount_received: 2000,
      metadata: { shipped: 'yes' },
    });
  });

  test('captures a part and releases the rest', async () => {
    const { id } = await authorise();
    const captured = await stripe.paymentIntents.capture(id, {
      amount_to_capture: 700,
      expand: ['latest_charge'],
    });
    expect(captured).toMatchObject({ status: 'succeeded', amount: 2000, amount_received: 700 });
    expect(captured.latest_charge).toMatchObject({ amount: 2000, amount_captured: 700 });
  });

  test('refuses to capture more than it holds', async () => {
    const { id } = await authorise();
    const error = await refusal(stripe.paymentIntents.capture(id, { amount_to_capture: 2001 }));
    expect(error).toMatchObject({
      statusCode: 400,
      code: 'amount_too_large',
      param: 'amount_to_capture',
    });
    expect((await stripe.paymentIntents.retrieve(id)).status).toBe('requires_capture');
  });

  test('refuses what it cannot keep before it asks the acquirer', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`a${i}`, 'x']));
    const { id } = await pay({ capture_method: 'manual', metadata });
    const more = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`b${i}`, 'x']));
    const error = await refusal(stripe.paymentIntents.capture(id, { metadata: more }));
    expect(error).toMatchObject({ statusCode: 400, param: 'metadata' });
    expect(await stripe.paymentIntents.retrieve(id)).toMatchObject({
      status: 'requires_capture',
      metadata,
    });
  });

  test('is released by cancelling', async () => {
    const held = await authorise();
    const { id, latest_charge } = held;
    const canceled = await stripe.paymentIntents.cancel(id, { cancellation_reason: 'duplicate' });
    expect(canceled).toMatchObject({
      status: 'canceled',
      cancellation_reason: 'duplicate',
      amount_capturable: 0,
    });
    expect(canceled.canceled_at).toBeGreaterThanOrEqual(canceled.created);
    expect(await stripe.charges.retrieve(latest_charge as string)).toMatchObject({
      captured: false,
      refunded: true,
      amount_refunded: held.amount,
      outcome: { network_status: 'reversed_after_approval' },
    });
    const error = await refusal(stripe.paymentIntents.capture(id));
    expect(error).toMatchObject({ code: 'payment_intent_unexpected_state' });
  });
});

describe('of a customer', () => {
  test('create with confirm that names no payment method takes the default source', async () => {
    const { id: customer, default_source } = await stripe.customers.create({ source: 'tok_amex' });
    const paid = await pay({ customer, payment_method: undefined });
    expect(paid).toMatchObject({ status: 'succeeded', customer, payment_method: default_source });
  });

  test('without a default source, or without confirm, nothing is taken', async () => {
    const { id: customer } = await stripe.customers.create({});
    const error = await refusal(pay({ customer, payment_method: undefined }));
    expect(error).toMatchObject({ code: 'parameter_missing', param: 'payment_method' });
    expect(error.message).toContain('default_source');
    const { id: other } = await stripe.customers.create({ source: 'tok_visa' });
    const open = await stripe.paymentIntents.create({ ...USD, customer: other });
    expect(open).toMatchObject({ status: 'requires_payment_method', payment_method: null });
    const refused = await refusal(stripe.paymentIntents.confirm(open.id));
    expect(refused.message).toContain('with the payment_method parameter');
  });

  test('that was deleted while the acquirer was asked, no card is kept', async () => {
    const { id: customer } = await stripe.customers.create({});
    const real = acquirer.charge.bind(acquirer);
    jest.spyOn(acquirer, 'charge').mockImplementationOnce(async (...order) => {
      await stripe.customers.del(customer);
      return real(...order);
    });
    const paid = await pay({ customer, setup_future_usage: 'off_session' });
    expect(paid.status).toBe('succeeded');
    const method = await stripe.paymentMethods.retrieve(paid.payment_method as string);
    expect(method.customer).toBeNull();
  });

  test('that is deleted at the same moment, no card is kept, and neither request fails', async () => {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const { id: customer } = await stripe.customers.create({ source: 'tok_visa' });
        const paying = once.paymentIntents.create({
          ...USD,
          customer,
          payment_method: 'pm_card_visa',
          confirm: true,
          setup_future_usage: 'off_session',
        });
        const [paid] = await Promise.allSettled([paying, once.customers.del(customer)]);
        if (paid.status === 'rejected') {
          expect(paid.reason).toMatchObject({ code: 'resource_missing', param: 'customer' });
          return;
        }
        const method = await stripe.paymentMethods.retrieve(paid.value.payment_method as string);
        expect(method.customer).toBeNull();
      }),
    );
  });
});

describe('lists', () => {
  test('by customer, newest first, and page by page without a gap or a repeat', async () => {
    const customer = (await stripe.customers.create({})).id;
    const ids: string[] = [];
    for (let i = 0; i < 7; i += 1) {
      ids.unshift((await stripe.paymentIntents.create({ ...USD, customer })).id);
    }
    const seen: string[] = [];
    for await (const intent of stripe.paymentIntents.list({ customer, limit: 3 })) {
      seen.push(intent.id);
    }
    expect(seen).toEqual(ids);
    const page = await stripe.paymentIntents.list({
      customer,
      limit: 2,
      expand: ['data.customer'],
    });
    expect(page).toMatchObject({ object: 'list', has_more: true, url: '/v1/payment_intents' });
    expect(page.data[0]?.customer).toMatchObject({ id: customer, object: 'customer' });
  });
});

describe('expand', () => {
  test('reaches from a payment to its charge, customer and payment method', async () => {
    const customer = (await stripe.customers.create({ name: 'Ada' })).id;
    const intent = await pay({
      customer,
      expand: [
        'customer',
        'payment_method',
        'latest_charge.customer',
        'latest_charge.payment_intent',
      ],
    });
    expect(intent).toMatchObject({
      customer: { name: 'Ada' },
      payment_method: { object: 'payment_method', card: { last4: '4242' } },
      latest_charge: { customer: { name: 'Ada' }, payment_intent: { id: intent.id } },
    });
  });
});

describe('tenants', () => {
  test('another account, and the other mode, see nothing of a payment', async () => {
    const { id } = await pay({ capture_method: 'manual' });
    const { id: open } = await stripe.paymentIntents.create(USD);
    for (const [account, livemode] of [
      ['other', false],
      ['shop', true],
    ] as const) {
      const theirs = app.stripe({ apiKey: await app.createKey(account, livemode) });
      for (const call of [
        () => theirs.paymentIntents.retrieve(id),
        () => theirs.paymentIntents.update(id, { description: 'mine' }),
        () => theirs.paymentIntents.confirm(open, { payment_method: 'pm_card_visa' }),
        () => theirs.paymentIntents.capture(id),
        () => theirs.paymentIntents.cancel(id),
      ]) {
        expect(await refusal(call())).toMatchObject({ statusCode: 404, code: 'resource_missing' });
      }
      expect((await theirs.paymentIntents.list()).data).toEqual([]);
    }
    expect((await stripe.paymentIntents.retrieve(id)).status).toBe('requires_capture');
  });
});
