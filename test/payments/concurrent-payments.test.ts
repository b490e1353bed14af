/** Several requests for one payment at the same moment, and replies of the acquirer that are lost (R12). */
import type Stripe from 'stripe';
import {
  accountOf,
  acquirer,
  app,
  loseReply,
  once,
  pay,
  refusal,
  startOneApplication,
  stripe,
  USD,
} from './payments.fixture';

startOneApplication();

describe('at the same moment', () => {
  beforeAll(() => {
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
