/** Refunds on the running application, through the official SDK. */
import { RefundsRepository } from '../../src/refunds/refunds.repository';
import {
  accountOf,
  acquirer,
  app,
  loseReply,
  once,
  refusal,
  startOneApplication,
  stripe,
} from '../payments/payments.fixture';
import { charged, paid } from './refunds.fixture';

startOneApplication();

let account: string;
beforeAll(async () => {
  account = await accountOf(app);
});

describe('create', () => {
  test('by charge refunds all that is left', async () => {
    const { id: charge } = await charged();
    await stripe.refunds.create({ charge, amount: 300 });
    const rest = await stripe.refunds.create({ charge, reason: 'requested_by_customer' });
    expect(rest).toMatchObject({
      object: 'refund',
      amount: 700,
      charge,
      currency: 'usd',
      payment_intent: null,
      reason: 'requested_by_customer',
      status: 'succeeded',
    });
    expect(await stripe.charges.retrieve(charge)).toMatchObject({
      amount_refunded: 1000,
      refunded: true,
    });
    expect(await refusal(stripe.refunds.create({ charge }))).toMatchObject({
      statusCode: 400,
      code: 'charge_already_refunded',
    });
  });

  test('by payment intent refunds its charge, and never more than was captured', async () => {
    const { id } = await paid({ capture_method: 'manual' });
    await stripe.paymentIntents.capture(id, { amount_to_capture: 400 });
    const error = await refusal(stripe.refunds.create({ payment_intent: id, amount: 401 }));
    expect(error).toMatchObject({ statusCode: 400, code: 'amount_too_large', param: 'amount' });
    expect(error.message).toMatch(/4\.01 USD.*4\.00 USD/);
    const refund = await stripe.refunds.create({
      payment_intent: id,
      metadata: { why: 'broken' },
      expand: ['charge', 'payment_intent'],
    });
    expect(refund).toMatchObject({
      amount: 400,
      charge: { object: 'charge', amount_refunded: 400, refunded: true },
      payment_intent: { id, status: 'succeeded' },
      metadata: { why: 'broken' },
    });
  });

  test('a payment that was not captured is released, not refunded', async () => {
    const { id, latest_charge } = await paid({ capture_method: 'manual' });
    expect(await refusal(stripe.refunds.create({ payment_intent: id }))).toMatchObject({
      code: 'payment_intent_unexpected_state',
    });
    expect(await refusal(stripe.refunds.create({ charge: latest_charge as string }))).toMatchObject(
      { code: 'charge_not_refundable' },
    );
  });

  test.each([
    [{}, 'parameter_missing', 'charge'],
    [{ charge: 'ch_nobody' }, 'resource_missing', 'charge'],
    [{ payment_intent: 'pi_nobody' }, 'resource_missing', 'payment_intent'],
    [{ charge: 'ch_nobody', amount: 0 }, 'amount_too_small', 'amount'],
    [
      { charge: 'ch_nobody', refund_application_fee: true },
      'parameter_unknown',
      'refund_application_fee',
    ],
  ])('%j is refused with %s', async (params, code, param) => {
    const error = await refusal(stripe.refunds.create(params));
    expect(error).toMatchObject({ statusCode: 400, code, param });
  });

  test('where the acquirer refuses, the refund has failed and what it took can be refunded', async () => {
    const { id: charge } = await charged();
    jest.spyOn(acquirer, 'refund').mockResolvedValueOnce({
      outcome: 'declined',
      code: 'refund_refused',
      declineCode: null,
      message: 'No.',
    });
    const failed = await stripe.refunds.create({ charge, amount: 600 });
    expect(failed).toMatchObject({ status: 'failed', failure_reason: 'declined' });
    expect(await stripe.refunds.create({ charge })).toMatchObject({ amount: 1000 });
  });
});

describe('of a charge that was not captured', () => {
  const held = (amount = 1000) =>
    stripe.charges.create({ amount, currency: 'usd', capture: false });

  test('releases all that it holds, once', async () => {
    const { id: charge } = await held();
    const cancels = jest.spyOn(acquirer, 'cancel').mockClear();
    const refunds = jest.spyOn(acquirer, 'refund').mockClear();
    const before = await acquirer.ledger.balance(account, 'usd');
    const refund = await stripe.refunds.create({ charge, expand: ['charge'] });
    expect(refund).toMatchObject({
      amount: 1000,
      status: 'succeeded',
      charge: { captured: false, refunded: true, amount_refunded: 1000, status: 'succeeded' },
    });
    expect([cancels.mock.calls.length, refunds.mock.calls.length]).toEqual([1, 0]);
    expect(await acquirer.ledger.balance(account, 'usd')).toBe(before);
    for (const again of [stripe.refunds.create({ charge }), stripe.charges.capture(charge)]) {
      expect(await refusal(again)).toMatchObject({
        statusCode: 400,
        code: 'charge_already_refunded',
      });
    }
  });

  test('is refused in part', async () => {
    const { id: charge } = await held();
    expect(await refusal(stripe.refunds.create({ charge, amount: 400 }))).toMatchObject({
      statusCode: 400,
      code: 'charge_not_refundable',
      param: 'amount',
    });
    expect(await stripe.charges.capture(charge, { amount: 600 })).toMatchObject({ captured: true });
  });

  test('leaves it as it was where the acquirer refuses', async () => {
    const { id: charge } = await held();
    jest.spyOn(acquirer, 'cancel').mockResolvedValueOnce({
      outcome: 'declined',
      code: 'cancel_refused',
      declineCode: null,
      message: 'No.',
    });
    expect(await stripe.refunds.create({ charge })).toMatchObject({ status: 'failed' });
    expect(await stripe.charges.capture(charge)).toMatchObject({ captured: true, refunded: false });
  });

  test('R12 a lost reply leaves it pending, and the same key settles it once', async () => {
    const { id: charge } = await held();
    loseReply('cancel');
    const send = () =>
      stripe.refunds.create({ charge }, { idempotencyKey: 'lost release', maxNetworkRetries: 0 });
    expect(await refusal(send())).toMatchObject({ statusCode: 503 });
    expect(await refusal(stripe.charges.capture(charge))).toMatchObject({ code: 'charge_pending' });
    expect(await send()).toMatchObject({ status: 'succeeded', amount: 1000 });
    expect(await stripe.charges.retrieve(charge)).toMatchObject({ refunded: true });
  });

  test('of captures and releases at the same moment one wins', async () => {
    acquirer.latencyMs = 20;
    for (let round = 0; round < 10; round += 1) {
      const { id: charge } = await held();
      const outcomes = await Promise.allSettled([
        ...Array.from({ length: 4 }, () => once.refunds.create({ charge })),
        ...Array.from({ length: 2 }, () => once.charges.capture(charge)),
      ]);
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const one of outcomes) {
        if (one.status === 'rejected') expect(one.reason).toMatchObject({ statusCode: 400 });
      }
      const after = await stripe.charges.retrieve(charge);
      expect(after).toMatchObject({ status: 'succeeded', refunded: !after.captured });
    }
    acquirer.latencyMs = 0;
  });
});

test('update changes metadata alone', async () => {
  const { id: charge } = await charged();
  const { id } = await stripe.refunds.create({ charge, metadata: { a: '1' } });
  const updated = await stripe.refunds.update(id, { metadata: { b: '2' } });
  expect(updated).toMatchObject({ id, metadata: { a: '1', b: '2' } });
  expect(await stripe.refunds.retrieve(id)).toEqual(
    expect.objectContaining({ ...updated, lastResponse: expect.anything() }),
  );
  expect(await refusal(stripe.refunds.update(id, { amount: 1 } as never))).toMatchObject({
    code: 'parameter_unknown',
  });
});

describe('cancel', () => {
  test('a refund that took place cannot be cancelled', async () => {
    const { id: charge } = await charged();
    const { id } = await stripe.refunds.create({ charge });
    const error = await refusal(stripe.refunds.cancel(id));
    expect(error).toMatchObject({ statusCode: 400, code: 'status_transition_invalid' });
    expect(error.message).toContain('succeeded');
  });

  test('one that waits for somebody to act is cancelled once, and its amount is free again', async () => {
    const { id: charge } = await charged();
    const { id } = await stripe.refunds.create({ charge, amount: 400 });
    const tenant = { account, livemode: false };
    await app.app.get(RefundsRepository).update(tenant, id, { status: 'requires_action' });
    const outcomes = await Promise.allSettled([
      stripe.refunds.cancel(id),
      stripe.refunds.cancel(id),
    ]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect((await stripe.refunds.retrieve(id)).status).toBe('canceled');
    expect((await stripe.charges.retrieve(charge)).amount_refunded).toBe(0);
  });
});

test('lists are by charge and by payment intent, newest first', async () => {
  const { id: payment_intent, latest_charge } = await paid();
  const ids: string[] = [];
  for (let i = 0; i < 3; i += 1) {
    ids.unshift((await stripe.refunds.create({ payment_intent, amount: 10 })).id);
  }
  for (const filter of [{ payment_intent }, { charge: latest_charge as string }]) {
    const { data } = await stripe.refunds.list({ ...filter, expand: ['data.charge'] });
    expect(data.map(({ id }) => id)).toEqual(ids);
    expect(data[0]?.charge).toMatchObject({ object: 'charge', amount_refunded: 30 });
  }
});

test('another account, and the other mode, see and refund nothing', async () => {
  const { id: payment_intent, latest_charge } = await paid();
  const { id } = await stripe.refunds.create({ payment_intent, amount: 10 });
  for (const [name, livemode] of [
    ['other', false],
    ['shop', true],
  ] as const) {
    const theirs = app.stripe({ apiKey: await app.createKey(name, livemode) });
    for (const call of [
      () => theirs.refunds.retrieve(id),
      () => theirs.refunds.update(id, { metadata: { mine: 'yes' } }),
      () => theirs.refunds.cancel(id),
    ]) {
      expect(await refusal(call())).toMatchObject({ statusCode: 404, code: 'resource_missing' });
    }
    for (const target of [{ payment_intent }, { charge: latest_charge as string }]) {
      expect(await refusal(theirs.refunds.create(target))).toMatchObject({
        statusCode: 400,
        code: 'resource_missing',
      });
    }
    expect((await theirs.refunds.list()).data).toEqual([]);
  }
});
