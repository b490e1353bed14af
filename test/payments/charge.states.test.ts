/** What may be captured and refunded of a charge, by itself. */
import fc from 'fast-check';
import type { ChargeEntity } from '../../src/payments/charges/charge.entity';
import {
  captureRefusal,
  chargeOutcome,
  refundableAmount,
} from '../../src/payments/charges/charge.states';
import type { InvalidRequestError } from '../../src/wire';

function charge(change: Partial<ChargeEntity> = {}): ChargeEntity {
  const captured = { captured: true, amountCaptured: 1000, amountRefunded: 0 };
  const base = { id: 'ch_1', currency: 'usd', amount: 1000, status: 'succeeded', ...captured };
  return { ...base, paymentIntent: null, ...change } as ChargeEntity;
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return (error as InvalidRequestError).code;
  }
  throw new Error('nothing was refused');
}

test('without an amount a refund takes all that is left', () => {
  expect(refundableAmount(charge({ amountRefunded: 300 }))).toBe(700);
});

test('refunds one after the other never take more than was captured, and can take all of it', () => {
  const amounts = fc.array(fc.option(fc.integer({ min: 1, max: 1500 }), { nil: undefined }));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), amounts, (amountCaptured, wanted) => {
      let amountRefunded = 0;
      for (const amount of wanted) {
        const left = amountCaptured - amountRefunded;
        const state = charge({ amountCaptured, amountRefunded });
        if (left === 0 || (amount ?? 1) > left) {
          expect(() => refundableAmount(state, amount)).toThrow();
        } else {
          amountRefunded += refundableAmount(state, amount);
        }
        expect(amountRefunded).toBeLessThanOrEqual(amountCaptured);
      }
    }),
  );
});

test.each([
  ['fully refunded', { amountRefunded: 1000 }, 'charge_already_refunded'],
  ['failed', { status: 'failed' as const, captured: false }, 'charge_not_refundable'],
  [
    'only authorised, of a payment intent',
    { captured: false, amountCaptured: 0, paymentIntent: 'pi_1' },
    'charge_not_refundable',
  ],
  ['released', { captured: false, amountCaptured: 0, released: true }, 'charge_already_refunded'],
  ['pending', { status: 'pending' as const, captured: false }, 'charge_pending'],
])('a charge that is %s cannot be refunded', (_name, change, code) => {
  expect(codeOf(() => refundableAmount(charge(change)))).toBe(code);
});

test('the error for a refund that is too large names both amounts', () => {
  expect(() => refundableAmount(charge({ amountRefunded: 400 }), 601)).toThrow(
    /6\.01 USD.*6\.00 USD/,
  );
});

test('what an authorised charge of its own holds is released as a whole', () => {
  const held = charge({ captured: false, amountCaptured: 0 });
  expect(refundableAmount(held)).toBe(1000);
  expect(refundableAmount(held, 1000)).toBe(1000);
  expect(codeOf(() => refundableAmount(held, 999))).toBe('charge_not_refundable');
  expect(codeOf(() => refundableAmount(held, 1001))).toBe('amount_too_large');
});

test.each([
  ['captured', {}, 'charge_already_captured'],
  ['released', { captured: false, released: true }, 'charge_already_refunded'],
  ['failed', { status: 'failed' as const, captured: false }, 'capture_unauthorized_payment'],
  ['pending', { status: 'pending' as const, captured: false }, 'charge_pending'],
  ["a payment intent's", { paymentIntent: 'pi_1', captured: false }, 'charge_invalid_parameter'],
  ['too small', { captured: false }, 'amount_too_large'],
])('a charge that is %s cannot be captured', (_name, change, code) => {
  expect(captureRefusal(charge(change), 1001).code).toBe(code);
});

test('a declined charge took nothing', () => {
  const outcome = { outcome: 'declined', code: 'c', declineCode: 'd', message: 'm' } as const;
  expect(chargeOutcome({ amount: 5, capture: true }, outcome)).toMatchObject({
    status: 'failed',
    captured: false,
    amountCaptured: 0,
    reference: null,
    failureCode: 'c',
    declineCode: 'd',
    failureMessage: 'm',
  });
});
