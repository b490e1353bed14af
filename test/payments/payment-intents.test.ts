/** Payment intents on the running application, through the official SDK. */
import Stripe from 'stripe';
import { type InProcessGateway, SandboxGateway } from '../../src/gateway';
import { type RunningApp, startApp } from '../support/app';
import { accountOf, refusal } from './payments.fixture';

let app: RunningApp;
let stripe: Stripe;

beforeAll(async () => {
  app = await startApp({ env: { LOG_LEVEL: 'silent' } });
  stripe = app.stripe();
});

afterAll(() => app.close());

const USD = { amount: 2000, currency: 'usd' };

function pay(change: Partial<Stripe.PaymentIntentCreateParams> = {}) {
  return stripe.paymentIntents.create({
    ...USD,
    payment_method: 'pm_card_visa',
    confirm: true,
    ...change,
  });
}

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

describe('declines', () => {
  test.each([
    ['chargeDeclined', 'card_declined', 'generic_decline'],
    ['chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['chargeDeclinedLostCard', 'card_declined', 'lost_card'],
    ['chargeDeclinedStolenCard', 'card_declined', 'stolen_card'],
    ['chargeDeclinedExpiredCard', 'expired_card', undefined],
    ['chargeDeclinedIncorrectCvc', 'incorrect_cvc', undefined],
    ['chargeDeclinedProcessingError', 'processing_error', undefined],
  ])('%s is refused with %s / %s', async (card, code, declineCode) => {
    const metadata = { card };
    const error = await refusal(pay({ payment_method: `pm_card_${card}`, metadata }));
    expect(error).toBeInstanceOf(Stripe.errors.StripeCardError);
    expect(error).toMatchObject({ statusCode: 402, type: 'StripeCardError', code });
    expect(error.decline_code || undefined).toBe(declineCode);
    const left = error.payment_intent as Stripe.PaymentIntent;
    expect(left).toMatchObject({
      status: 'requires_payment_method',
      payment_method: null,
      metadata,
    });
    expect(left.latest_charge).toBe(error.charge);
    expect(left.last_payment_error).toMatchObject({
      code,
      charge: error.charge,
      type: 'card_error',
    });
    expect(await stripe.paymentIntents.retrieve(left.id)).toMatchObject(left);
    expect(await stripe.charges.retrieve(error.charge as string)).toMatchObject({
      status: 'failed',
      paid: false,
      captured: false,
      failure_code: code,
    });
  });

  test.each(['pm_card_visa_chargeDeclined', 'tok_chargeDeclined', 'tok_visa_chargeDeclined'])(
    '%s names the same card',
    async (payment_method) => {
      expect(await refusal(pay({ payment_method }))).toMatchObject({ code: 'card_declined' });
    },
  );

  test('R13 the response to a decline is replayed byte by byte, and nothing is charged again', async () => {
    const send = () =>
      fetch(`${app.url}/v1/payment_intents`, {
        method: 'POST',
        headers: { authorization: `Bearer ${app.apiKey}`, 'idempotency-key': 'a decline' },
        body: new URLSearchParams({
          amount: '2000',
          currency: 'usd',
          payment_method: 'pm_card_chargeDeclined',
          confirm: 'true',
        }),
      });
    const first = await send();
    const again = await send();
    expect([first.status, again.status]).toEqual([402, 402]);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(await again.text()).toBe(await first.text());
  });

  test('after a decline another card pays', async () => {
    const error = await refusal(pay({ payment_method: 'pm_card_chargeDeclined' }));
    const { id } = error.payment_intent as Stripe.PaymentIntent;
    const paid = await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' });
    expect(paid).toMatchObject({ status: 'succeeded', last_payment_error: null });
    const charges = await stripe.charges.list({ payment_intent: id });
    expect(charges.data.map(({ status }) => status)).toEqual(['succeeded', 'failed']);
  });

  test('a card that asks for authentication needs the buyer', async () => {
    const payment_method = 'pm_card_authenticationRequired';
    const waiting = await pay({ payment_method, return_url: 'https://shop.example/back' });
    expect(waiting).toMatchObject({
      status: 'requires_action',
      latest_charge: null,
      next_action: { type: 'redirect_to_url' },
    });
    const paid = await stripe.paymentIntents.confirm(waiting.id, {
      payment_method: 'pm_card_visa',
    });
    expect(paid).toMatchObject({ status: 'succeeded', next_action: null });
    const error = await refusal(pay({ payment_method, off_session: true }));
    expect(error).toMatchObject({ statusCode: 402, code: 'authentication_required' });
  });
});

test('another payment method leaves nothing for the buyer to do', async () => {
  const waiting = await pay({
    payment_method: 'pm_card_authenticationRequired',
    return_url: 'https://shop.example/back',
  });
  const kept = await stripe.paymentIntents.update(waiting.id, { description: 'x' });
  expect(kept).toMatchObject({ status: 'requires_action', next_action: waiting.next_action });
  const changed = await stripe.paymentIntents.update(waiting.id, {
    payment_method: 'pm_card_visa',
  });
  expect(changed).toMatchObject({ status: 'requires_confirmation', next_action: null });
});

test('last_payment_error is cleared by any update, as the SDK documents it', async () => {
  const error = await refusal(pay({ payment_method: 'pm_card_chargeDeclined' }));
  const { id } = error.payment_intent as Stripe.PaymentIntent;
  expect((await stripe.paymentIntents.retrieve(id)).last_payment_error).not.toBeNull();
  const updated = await stripe.paymentIntents.update(id, { description: 'x' });
  expect(updated).toMatchObject({ last_payment_error: null, status: 'requires_payment_method' });
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
    const acquirer = app.app.get<SandboxGateway, InProcessGateway>(SandboxGateway);
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
    const once = app.stripe({ maxNetworkRetries: 0 });
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

describe('what is not possible', () => {
  test('a payment that is over can be neither confirmed, captured nor cancelled', async () => {
    const { id } = await pay();
    for (const call of [
      () => stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' }),
      () => stripe.paymentIntents.capture(id),
      () => stripe.paymentIntents.cancel(id),
      () => stripe.paymentIntents.update(id, { amount: 1 }),
    ]) {
      const error = await refusal(call());
      expect(error).toMatchObject({ statusCode: 400, code: 'payment_intent_unexpected_state' });
      expect(error.payment_intent).toMatchObject({ id, status: 'succeeded' });
    }
    const described = await stripe.paymentIntents.update(id, { description: 'late' });
    expect(described).toMatchObject({ status: 'succeeded', description: 'late' });
  });

  test('nothing is confirmed that would send the buyer to a script', async () => {
    const { id } = await stripe.paymentIntents.create({ ...USD, payment_method: 'pm_card_visa' });
    const confirm = (return_url: string) => stripe.paymentIntents.confirm(id, { return_url });
    expect(await refusal(confirm('java\tscript:/alert(1)'))).toMatchObject({
      statusCode: 400,
      type: 'StripeInvalidRequestError',
      code: 'url_invalid',
      param: 'return_url',
    });
    expect(await confirm('com.example.app:/back')).toMatchObject({ status: 'succeeded' });
  });

  test('nothing is confirmed without a payment method', async () => {
    const { id } = await stripe.paymentIntents.create(USD);
    expect(await refusal(stripe.paymentIntents.confirm(id))).toMatchObject({
      code: 'payment_intent_unexpected_state',
    });
    expect((await stripe.paymentIntents.retrieve(id)).status).toBe('requires_payment_method');
    expect(await refusal(stripe.paymentIntents.create({ ...USD, confirm: true }))).toMatchObject({
      code: 'parameter_missing',
      param: 'payment_method',
    });
  });

  test.each([
    [{ amount: 0 }, 'amount_too_small', 'amount'],
    [{ amount: 100_000_000 }, 'amount_too_large', 'amount'],
    [{ amount: 1.5 }, 'parameter_invalid_integer', 'amount'],
    [{ amount: undefined }, 'parameter_missing', 'amount'],
    [{ currency: undefined }, 'parameter_missing', 'currency'],
    [{ payment_method: 'pm_nobody' }, 'resource_missing', 'payment_method'],
    [{ payment_method: 'pm_card_constructor' }, 'resource_missing', 'payment_method'],
    [{ customer: 'cus_nobody' }, 'resource_missing', 'customer'],
    [{ return_url: 'javascript://%0aalert(1)' }, 'url_invalid', 'return_url'],
    [{ tip: 5 }, 'parameter_unknown', 'tip'],
  ])('%j is refused with %s', async (change, code, param) => {
    expect(await refusal(pay(change as never))).toMatchObject({ statusCode: 400, code, param });
  });

  test.each([
    ['retrieve', (id: string) => stripe.paymentIntents.retrieve(id)],
    ['update', (id: string) => stripe.paymentIntents.update(id, {})],
    ['confirm', (id: string) => stripe.paymentIntents.confirm(id)],
    ['capture', (id: string) => stripe.paymentIntents.capture(id)],
    ['cancel', (id: string) => stripe.paymentIntents.cancel(id)],
  ])('%s of an id that names nothing is a 404', async (_name, call) => {
    const error = await refusal(call('pi_nobody'));
    expect(error).toMatchObject({ statusCode: 404, code: 'resource_missing' });
  });

  test.each(['%00', '%F0%9F%92%B8', 'x'.repeat(3000)])(
    'an id that cannot be one is a 404 or a 400, never a failure of the server: %s',
    async (id) => {
      for (const [method, path] of [
        ['GET', `payment_intents/${id}`],
        ['POST', `payment_intents/${id}/confirm`],
        ['POST', `charges/${id}/capture`],
        ['POST', `payment_methods/${id}/attach`],
        ['GET', `payment_intents?customer=${id}`],
        ['GET', `charges?starting_after=${id}`],
      ] as const) {
        const res = await fetch(`${app.url}/v1/${path}`, {
          method,
          headers: {
            authorization: `Bearer ${app.apiKey}`,
            'idempotency-key': crypto.randomUUID(),
            'content-type': 'application/x-www-form-urlencoded',
          },
          ...(method === 'POST' ? { body: 'expand[]=customer' } : {}),
        });
        expect([200, 400, 404, 414]).toContain(res.status);
      }
    },
  );

  test('live mode says that it has no acquirer, and what to do', async () => {
    const live = app.stripe({ apiKey: await app.createKey('shop', true) });
    const error = await refusal(
      live.paymentIntents.create({ ...USD, payment_method: 'pm_card_visa', confirm: true }),
    );
    expect(error).toMatchObject({ statusCode: 400, code: 'testmode_charges_only' });
    expect(error.message).toContain('sk_test_');
  });
});

describe('at the same moment', () => {
  let acquirer: InProcessGateway;
  /** Sees every response: the SDK would repeat one with a 409 or a 500. */
  let once: Stripe;

  beforeAll(() => {
    once = app.stripe({ maxNetworkRetries: 0 });
    acquirer = app.app.get<SandboxGateway, InProcessGateway>(SandboxGateway);
    acquirer.latencyMs = 60;
  });

  afterAll(() => {
    acquirer.latencyMs = 0;
  });

  /** Approved operations of one payment in the acquirer ledger. */
  async function ledgerOf(call: () => Promise<unknown>) {
    const before = (await acquirer.ledger.entries(await accountOf(app))).length;
    await call();
    return (await acquirer.ledger.entries(await accountOf(app))).slice(before);
  }

  test('twelve keys that confirm one payment charge it once', async () => {
    const { id } = await stripe.paymentIntents.create({ ...USD, payment_method: 'pm_card_visa' });
    let outcomes: PromiseSettledResult<unknown>[] = [];
    const entries = await ledgerOf(async () => {
      outcomes = await Promise.allSettled(
        Array.from({ length: 12 }, () => once.paymentIntents.confirm(id)),
      );
    });
    expect(entries.map(({ kind }) => kind)).toEqual(['charge']);
    const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused).toHaveLength(11);
    for (const error of refused as Stripe.errors.StripeError[]) {
      expect(error.code).toBe('payment_intent_unexpected_state');
    }
  });

  test('of captures and cancellations with keys of their own one goes out', async () => {
    const { id } = await pay({ capture_method: 'manual' });
    const [captures, cancels] = [jest.spyOn(acquirer, 'capture'), jest.spyOn(acquirer, 'cancel')];
    const entries = await ledgerOf(() =>
      Promise.allSettled(
        Array.from({ length: 10 }, (_, i) =>
          i % 2
            ? once.paymentIntents.capture(id, { amount_to_capture: 100 + i })
            : once.paymentIntents.cancel(id),
        ),
      ),
    );
    expect(captures.mock.calls.length + cancels.mock.calls.length).toBe(1);
    captures.mockRestore();
    cancels.mockRestore();
    expect(entries).toHaveLength(1);
    const { status } = await stripe.paymentIntents.retrieve(id);
    expect(status).toBe(entries[0]?.kind === 'capture' ? 'succeeded' : 'canceled');
  });

  /** The acquirer does it, and the reply is lost on the way back. */
  function loseReply(kind: 'charge' | 'capture' | 'cancel') {
    const real = acquirer[kind].bind(acquirer) as (...order: unknown[]) => Promise<never>;
    jest.spyOn(acquirer, kind).mockImplementationOnce(async (...order: unknown[]) => {
      await real(...order);
      throw new Error('the reply was lost');
    });
  }

  test.each([
    ['charge', 'succeeded', 'requires_confirmation'],
    ['capture', 'succeeded', 'requires_capture'],
    ['cancel', 'canceled', 'requires_capture'],
  ] as const)(
    'R12 a %s whose reply was lost reads processing, and the same key settles it once',
    async (kind, after, before) => {
      const intent =
        kind === 'charge'
          ? await stripe.paymentIntents.create({ ...USD, payment_method: 'pm_card_visa' })
          : await pay({ capture_method: 'manual' });
      expect(intent.status).toBe(before);
      const verb = kind === 'charge' ? 'confirm' : kind;
      const options = { idempotencyKey: `lost ${kind}`, maxNetworkRetries: 0 };
      const send = () => stripe.paymentIntents[verb](intent.id, {}, options);
      const entries = await ledgerOf(async () => {
        loseReply(kind);
        expect(await refusal(send())).toMatchObject({
          statusCode: 503,
          code: 'idempotency_outcome_unknown',
        });
        const unknown = await stripe.paymentIntents.retrieve(intent.id);
        expect(unknown.status).toBe('processing');
        const other = await refusal(stripe.paymentIntents.cancel(intent.id));
        expect(other).toMatchObject({ code: 'payment_intent_unexpected_state' });
        expect(await send()).toMatchObject({ id: intent.id, status: after });
      });
      expect(entries.map((entry) => entry.kind)).toEqual([kind]);
    },
  );

  test('a card that went to another customer meanwhile does not undo a payment that took place', async () => {
    const { id: customer } = await stripe.customers.create({});
    const { id: another } = await stripe.customers.create({});
    const { payment_method: card } = await stripe.paymentIntents.create({
      ...USD,
      payment_method: 'pm_card_visa',
    });
    const request = { customer, payment_method: card as string, confirm: true };
    const keep = { ...request, setup_future_usage: 'off_session' as const };
    loseReply('charge');
    const options = { idempotencyKey: 'moved card', maxNetworkRetries: 0 };
    await refusal(stripe.paymentIntents.create({ ...USD, ...keep }, options));
    await stripe.paymentMethods.attach(card as string, { customer: another });
    expect(await stripe.paymentIntents.create({ ...USD, ...keep }, options)).toMatchObject({
      status: 'succeeded',
      customer,
    });
    expect((await stripe.paymentMethods.retrieve(card as string)).customer).toBe(another);
  });

  test('R12 the SDK settles a lost reply by its own retry, and the buyer pays once', async () => {
    const entries = await ledgerOf(async () => {
      loseReply('charge');
      expect(await pay()).toMatchObject({ status: 'succeeded' });
    });
    expect(entries).toHaveLength(1);
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
