/** Several refunds of one charge at the same moment, and replies of the acquirer that are lost (R12). */
import fc from 'fast-check';
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

describe('at the same moment', () => {
  beforeAll(() => {
    acquirer.latencyMs = 20;
  });

  afterAll(() => {
    acquirer.latencyMs = 0;
  });

  test.each([
    ['charge', () => charged().then(({ id }) => ({ charge: id }))],
    ['payment intent', () => paid().then(({ id }) => ({ payment_intent: id }))],
  ])(
    'twenty partial refunds of one %s with keys of their own never exceed it',
    async (_n, make) => {
      const target = await make();
      const before = await acquirer.ledger.balance(account, 'usd');
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, () => once.refunds.create({ ...target, amount: 90 })),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(11);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected')
          expect(outcome.reason).toMatchObject({ param: 'amount' });
      }
      expect(await acquirer.ledger.balance(account, 'usd')).toBe(before - 990);
      const { data } = await stripe.refunds.list({ ...target, limit: 100 });
      expect(data.map(({ amount }) => amount)).toEqual(Array.from({ length: 11 }, () => 90));
    },
  );

  test('refunds of all that is left beside partial ones take each cent once', async () => {
    const amount = fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.array(amount, { minLength: 2, maxLength: 8 }), async (amounts) => {
        const { id: charge } = await charged();
        const before = await acquirer.ledger.balance(account, 'usd');
        const outcomes = await Promise.allSettled(
          amounts.map((wanted) => once.refunds.create({ charge, amount: wanted })),
        );
        const refunded = outcomes.reduce(
          (sum, one) => sum + (one.status === 'fulfilled' ? one.value.amount : 0),
          0,
        );
        const { amount_refunded } = await stripe.charges.retrieve(charge);
        expect(refunded).toBeLessThanOrEqual(1000);
        expect(amount_refunded).toBe(refunded);
        expect(await acquirer.ledger.balance(account, 'usd')).toBe(before - refunded);
        if (amounts.includes(undefined)) expect(refunded).toBe(1000);
        for (const one of outcomes) {
          if (one.status === 'rejected') expect(one.reason).toMatchObject({ statusCode: 400 });
        }
      }),
      { numRuns: 15 },
    );
  });

  test('R12 a lost reply leaves a refund pending, counted, and the same key settles it once', async () => {
    const { id: charge } = await charged();
    const before = await acquirer.ledger.balance(account, 'usd');
    loseReply('refund');
    const send = () =>
      stripe.refunds.create(
        { charge, amount: 600 },
        { idempotencyKey: 'lost refund', maxNetworkRetries: 0 },
      );
    expect(await refusal(send())).toMatchObject({ statusCode: 503 });
    const [pending] = (await stripe.refunds.list({ charge })).data;
    expect(pending).toMatchObject({ status: 'pending', pending_reason: 'processing' });
    expect(await refusal(stripe.refunds.create({ charge, amount: 401 }))).toMatchObject({
      param: 'amount',
    });
    expect(await send()).toMatchObject({ id: pending?.id, status: 'succeeded', amount: 600 });
    expect(await acquirer.ledger.balance(account, 'usd')).toBe(before - 600);
  });
});
