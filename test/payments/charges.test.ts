/** Charges on the running application, through the official SDK. */
import Stripe from 'stripe';
import {
  accountOf,
  acquirer,
  app,
  once,
  refusal,
  startOneApplication,
  stripe,
  USD,
} from './payments.fixture';

startOneApplication();

describe('create', () => {
  test('the smallest possible request charges tok_visa', async () => {
    expect(await stripe.charges.create(USD)).toMatchObject({
      object: 'charge',
      amount: 2000,
      amount_captured: 2000,
      amount_refunded: 0,
      captured: true,
      paid: true,
      refunded: false,
      status: 'succeeded',
      payment_intent: null,
      source: { object: 'card', brand: 'Visa', last4: '4242' },
    });
  });

  test('a token is charged, and is a payment method from then on', async () => {
    const charge = await stripe.charges.create({ ...USD, source: 'tok_amex' });
    expect(charge.payment_method_details?.card).toMatchObject({ brand: 'amex', last4: '8431' });
    const method = await stripe.paymentMethods.retrieve(charge.payment_method ?? '');
    expect(method).toMatchObject({
      object: 'payment_method',
      type: 'card',
      card: { brand: 'amex' },
    });
  });

  test('a customer is charged on the default source', async () => {
    const customer = await stripe.customers.create({ source: 'tok_mastercard' });
    const charge = await stripe.charges.create({ ...USD, customer: customer.id });
    expect(charge).toMatchObject({
      customer: customer.id,
      payment_method: customer.default_source,
      source: { brand: 'MasterCard', customer: customer.id },
    });
  });

  test('a customer without a default is charged on the card attached last', async () => {
    const { id: customer } = await stripe.customers.create({});
    await stripe.paymentMethods.attach('pm_card_visa', { customer });
    const { id } = await stripe.paymentMethods.attach('pm_card_mastercard', { customer });
    expect((await stripe.charges.create({ ...USD, customer })).payment_method).toBe(id);
  });

  test('a customer without a card cannot be charged', async () => {
    const { id: customer } = await stripe.customers.create({});
    const error = await refusal(stripe.charges.create({ ...USD, customer }));
    expect(error).toMatchObject({ statusCode: 402, code: 'missing', param: 'customer' });
  });

  test('a card of another customer is refused', async () => {
    const { id: customer } = await stripe.customers.create({});
    const { default_source } = await stripe.customers.create({ source: 'tok_visa' });
    const source = default_source as string;
    for (const params of [
      { ...USD, source },
      { ...USD, source, customer },
    ]) {
      const error = await refusal(stripe.charges.create(params));
      expect(error).toMatchObject({ statusCode: 400, param: 'source' });
    }
  });

  test('a decline leaves a failed charge', async () => {
    const source = 'tok_chargeDeclinedInsufficientFunds';
    const error = await refusal(stripe.charges.create({ ...USD, source }));
    expect(error).toMatchObject({
      statusCode: 402,
      code: 'card_declined',
      decline_code: 'insufficient_funds',
    });
    expect(await stripe.charges.retrieve(error.charge as string)).toMatchObject({
      status: 'failed',
      paid: false,
      captured: false,
      failure_code: 'card_declined',
      outcome: { reason: 'insufficient_funds', type: 'issuer_declined' },
    });
  });

  test('what describes it is kept', async () => {
    const described = {
      description: 'Order 6735',
      metadata: { order: '6735' },
      receipt_email: 'ada@example.com',
      statement_descriptor: 'SHOP',
      statement_descriptor_suffix: '6735',
    };
    expect(await stripe.charges.create({ ...USD, ...described })).toMatchObject(described);
  });

  test('live mode says that it has no acquirer', async () => {
    const live = app.stripe({ apiKey: await app.createKey('shop', true) });
    expect(await refusal(live.charges.create(USD))).toMatchObject({
      statusCode: 400,
      code: 'testmode_charges_only',
    });
  });

  test('R12 a lost reply leaves it pending until the same key settles it, and it is charged once', async () => {
    const account = await accountOf(app);
    const before = await acquirer.ledger.entries(account);
    const real = acquirer.charge.bind(acquirer);
    jest.spyOn(acquirer, 'charge').mockImplementationOnce(async (...order) => {
      await real(...order);
      return { outcome: 'unknown' };
    });
    const options = { idempotencyKey: 'lost', maxNetworkRetries: 0 };
    expect(await refusal(stripe.charges.create(USD, options))).toMatchObject({
      statusCode: 503,
      code: 'idempotency_outcome_unknown',
    });
    const [pending] = (await stripe.charges.list({ limit: 1 })).data;
    expect(pending).toMatchObject({ status: 'pending', paid: false });
    const charge = await stripe.charges.create(USD, options);
    expect(charge).toMatchObject({ id: pending?.id, status: 'succeeded' });
    expect(await acquirer.ledger.entries(account)).toHaveLength(before.length + 1);
  });
});

describe('capture', () => {
  const authorise = () => stripe.charges.create({ ...USD, capture: false });

  test('takes what was authorised, or a part of it', async () => {
    const held = await authorise();
    expect(held).toMatchObject({ captured: false, amount_captured: 0, paid: true });
    const whole = await stripe.charges.capture(held.id);
    expect(whole).toMatchObject({ captured: true, amount_captured: 2000, status: 'succeeded' });
    const { id } = await authorise();
    const part = await stripe.charges.capture(id, { amount: 1, receipt_email: 'a@example.com' });
    expect(part).toMatchObject({ amount_captured: 1, receipt_email: 'a@example.com' });
  });

  test('is refused for more than was authorised, and a second time', async () => {
    const { id } = await authorise();
    expect(await refusal(stripe.charges.capture(id, { amount: 2001 }))).toMatchObject({
      code: 'amount_too_large',
      param: 'amount',
    });
    await stripe.charges.capture(id);
    expect(await refusal(stripe.charges.capture(id))).toMatchObject({
      statusCode: 400,
      code: 'charge_already_captured',
    });
  });

  test('of eight keys at once one reaches the acquirer', async () => {
    const { id } = await authorise();
    const captures = jest.spyOn(acquirer, 'capture');
    acquirer.latencyMs = 60;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, () => once.charges.capture(id, { amount: 500 })),
    );
    acquirer.latencyMs = 0;
    expect(captures).toHaveBeenCalledTimes(1);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        expect(['charge_pending', 'charge_already_captured']).toContain(
          (outcome.reason as Stripe.errors.StripeError).code,
        );
      }
    }
  });

  test('the charge of a payment intent is captured through that', async () => {
    const intent = await stripe.paymentIntents.create({
      ...USD,
      payment_method: 'pm_card_visa',
      capture_method: 'manual',
      confirm: true,
    });
    const error = await refusal(stripe.charges.capture(intent.latest_charge as string));
    expect(error.message).toContain(intent.id);
  });
});

test('update changes what describes a charge, and gives it a customer once', async () => {
  const { id } = await stripe.charges.create({ ...USD, metadata: { a: '1', b: '2' } });
  const { id: customer } = await stripe.customers.create({});
  const params = { customer, description: 'new', metadata: { a: '', c: '3' } };
  expect(await stripe.charges.update(id, params)).toMatchObject({
    customer,
    description: 'new',
    metadata: { b: '2', c: '3' },
  });
  const { id: another } = await stripe.customers.create({});
  expect(await refusal(stripe.charges.update(id, { customer: another }))).toMatchObject({
    statusCode: 400,
    param: 'customer',
  });
});

test('twenty updates of different metadata at once lose none', async () => {
  const { id } = await stripe.charges.create(USD);
  const keys = Array.from({ length: 20 }, (_, i) => `key${i}`);
  await Promise.all(keys.map((key) => stripe.charges.update(id, { metadata: { [key]: 'x' } })));
  expect(Object.keys((await stripe.charges.retrieve(id)).metadata).toSorted()).toEqual(
    keys.toSorted(),
  );
});

test('lists are by customer and by payment intent, newest first', async () => {
  const { id: customer } = await stripe.customers.create({ source: 'tok_visa' });
  const ids: string[] = [];
  for (let i = 0; i < 3; i += 1) {
    ids.unshift((await stripe.charges.create({ ...USD, customer })).id);
  }
  const list = await stripe.charges.list({ customer, expand: ['data.customer'] });
  expect(list.data.map(({ id }) => id)).toEqual(ids);
  expect(list.data[0]?.customer).toMatchObject({ object: 'customer', id: customer });
  expect((await stripe.charges.list({ payment_intent: 'pi_nobody' })).data).toEqual([]);
});

test('another account, and the other mode, see nothing of a charge', async () => {
  const { id } = await stripe.charges.create({ ...USD, capture: false });
  for (const [account, livemode] of [
    ['other', false],
    ['shop', true],
  ] as const) {
    const theirs = app.stripe({ apiKey: await app.createKey(account, livemode) });
    for (const call of [
      () => theirs.charges.retrieve(id),
      () => theirs.charges.update(id, { description: 'mine' }),
      () => theirs.charges.capture(id),
    ]) {
      expect(await refusal(call())).toMatchObject({ statusCode: 404, code: 'resource_missing' });
    }
    expect((await theirs.charges.list()).data).toEqual([]);
  }
});
