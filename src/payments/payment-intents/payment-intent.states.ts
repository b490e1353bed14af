/** The states of a payment intent, the actions each allows, and the state after a charge. Pure. */
import type { KnownOutcome } from '../../gateway';

export const PAYMENT_INTENT_STATUSES = [
  'requires_payment_method',
  'requires_confirmation',
  'requires_action',
  'processing',
  'requires_capture',
  'succeeded',
  'canceled',
] as const;
export type PaymentIntentStatus = (typeof PAYMENT_INTENT_STATUSES)[number];

export const CAPTURE_METHODS = ['automatic', 'automatic_async', 'manual'] as const;
export type CaptureMethod = (typeof CAPTURE_METHODS)[number];

/** What a request does to a payment intent; `change` is who pays, how much, and how. */
export type PaymentIntentAction = 'confirm' | 'capture' | 'cancel' | 'change';

const OPEN = ['requires_payment_method', 'requires_confirmation', 'requires_action'] as const;

const allowedIn: Readonly<Record<PaymentIntentAction, readonly PaymentIntentStatus[]>> = {
  confirm: OPEN,
  capture: ['requires_capture'],
  cancel: [...OPEN, 'requires_capture'],
  change: OPEN,
};

/** The statuses in which an action is possible. `processing` allows none: its outcome is not known. */
export function statusesFor(action: PaymentIntentAction): readonly PaymentIntentStatus[] {
  return allowedIn[action];
}

/** The status of a payment intent before its first confirmation. */
export function statusBeforeConfirm(paymentMethod: string | null): PaymentIntentStatus {
  return paymentMethod === null ? 'requires_payment_method' : 'requires_confirmation';
}

/** The columns of a payment intent that a charge decides. */
export interface ChargeResult {
  readonly status: PaymentIntentStatus;
  readonly amountCapturable: number;
  readonly amountReceived: number;
}

/**
 * The state after a charge. A card that asks for authentication is no decline while the buyer is there to
 * authenticate.
 *
 * @param payment.capture false if the charge only authorises
 * @param payment.buyerPresent false for `off_session` payments
 */
export function afterCharge(
  payment: { amount: number; capture: boolean; buyerPresent: boolean },
  outcome: KnownOutcome,
): ChargeResult {
  const nothing = { amountCapturable: 0, amountReceived: 0 };
  if (outcome.outcome === 'declined') {
    const authenticate = outcome.code === 'authentication_required' && payment.buyerPresent;
    return { ...nothing, status: authenticate ? 'requires_action' : 'requires_payment_method' };
  }
  return payment.capture
    ? { ...nothing, status: 'succeeded', amountReceived: payment.amount }
    : { ...nothing, status: 'requires_capture', amountCapturable: payment.amount };
}
