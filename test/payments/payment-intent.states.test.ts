/** The state table of payment intents, by itself. */
import fc from 'fast-check';
import {
  afterCharge,
  type PaymentIntentAction,
  type PaymentIntentStatus,
  statusBeforeConfirm,
  statusesFor,
} from '../../src/payments/payment-intents/payment-intent.states';

const STATUSES: PaymentIntentStatus[] = [
  'requires_payment_method',
  'requires_confirmation',
  'requires_action',
  'processing',
  'requires_capture',
  'succeeded',
  'canceled',
];

const TABLE: Record<PaymentIntentAction, PaymentIntentStatus[]> = {
  confirm: ['requires_payment_method', 'requires_confirmation', 'requires_action'],
  change: ['requires_payment_method', 'requires_confirmation', 'requires_action'],
  capture: ['requires_capture'],
  cancel: [
    'requires_payment_method',
    'requires_confirmation',
    'requires_action',
    'requires_capture',
  ],
};

const approved = { outcome: 'approved', reference: 'acq_1' } as const;
const declined = (code: string) =>
  ({ outcome: 'declined', code, declineCode: null, message: 'No.' }) as const;

describe.each(Object.entries(TABLE))('%s', (action, allowed) => {
  test.each(STATUSES)(`in status %s`, (status) => {
    const possible = statusesFor(action as PaymentIntentAction).includes(status);
    expect(possible).toBe(allowed.includes(status));
  });
});

test('R12 no action is possible while the outcome is not known', () => {
  for (const action of Object.keys(TABLE)) {
    expect(statusesFor(action as PaymentIntentAction)).not.toContain('processing');
  }
});

test('before its confirmation a payment waits for what it lacks', () => {
  expect(statusBeforeConfirm(null)).toBe('requires_payment_method');
  expect(statusBeforeConfirm('pm_1')).toBe('requires_confirmation');
});

test('what is received or can be captured is the whole amount when approved, else nothing', () => {
  const payment = fc.record({
    amount: fc.integer({ min: 1, max: 99_999_999 }),
    capture: fc.boolean(),
    buyerPresent: fc.boolean(),
  });
  const outcome = fc.constantFrom(
    approved,
    declined('card_declined'),
    declined('authentication_required'),
  );
  fc.assert(
    fc.property(payment, outcome, (paid, result) => {
      const { status, amountCapturable, amountReceived } = afterCharge(paid, result);
      const moved = result.outcome === 'approved' ? paid.amount : 0;
      expect(amountCapturable + amountReceived).toBe(moved);
      expect(amountReceived > 0).toBe(status === 'succeeded');
      expect(amountCapturable > 0).toBe(status === 'requires_capture');
    }),
  );
});

test('a card that asks for authentication is no decline while the buyer is there', () => {
  const payment = { amount: 1, capture: true };
  const result = declined('authentication_required');
  expect(afterCharge({ ...payment, buyerPresent: true }, result).status).toBe('requires_action');
  expect(afterCharge({ ...payment, buyerPresent: false }, result).status).toBe(
    'requires_payment_method',
  );
});
