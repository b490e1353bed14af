/** Payments that are declined or refused, and what they leave behind. */
import Stripe from 'stripe';
import { app, pay, refusal, startOneApplication, stripe, USD } from './payments.fixture';

startOneApplication();

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
