/** The rules of a charge: its state after an outcome, and whether it can be captured or refunded. Pure. */
import type { KnownOutcome } from '../../gateway';
import { formatAmount, InvalidRequestError } from '../../wire';
import type { ChargeEntity } from './charge.entity';

/** The columns that hold the acquirer's outcome. */
export type ChargeOutcome = Pick<
  ChargeEntity,
  | 'status'
  | 'captured'
  | 'amountCaptured'
  | 'reference'
  | 'failureCode'
  | 'failureMessage'
  | 'declineCode'
>;

/** The columns of a charge after the acquirer's outcome. */
export function chargeOutcome(
  order: { readonly amount: number; readonly capture: boolean },
  outcome: KnownOutcome,
): ChargeOutcome {
  if (outcome.outcome === 'declined') {
    return {
      status: 'failed',
      captured: false,
      amountCaptured: 0,
      reference: null,
      failureCode: outcome.code,
      failureMessage: outcome.message,
      declineCode: outcome.declineCode,
    };
  }
  return {
    status: 'succeeded',
    captured: order.capture,
    amountCaptured: order.capture ? order.amount : 0,
    reference: outcome.reference,
    failureCode: null,
    failureMessage: null,
    declineCode: null,
  };
}

/**
 * Makes the error that says why a charge cannot be captured.
 * @param amount requested amount; undefined for all of it
 */
export function captureRefusal(charge: ChargeEntity, amount?: number): InvalidRequestError {
  const { id, currency } = charge;
  if (charge.paymentIntent !== null) {
    return new InvalidRequestError(
      `The charge ${id} belongs to the payment intent ${charge.paymentIntent}: capture that instead.`,
      { code: 'charge_invalid_parameter' },
    );
  }
  if (charge.status === 'failed') {
    return new InvalidRequestError(`The charge ${id} failed: there is nothing to capture.`, {
      code: 'capture_unauthorized_payment',
    });
  }
  if (charge.captured) {
    return new InvalidRequestError(`Charge ${id} has already been captured.`, {
      code: 'charge_already_captured',
    });
  }
  if (charge.status === 'pending') return stillPending(charge);
  if (charge.released) {
    return new InvalidRequestError(
      `Charge ${id} has already been refunded, which released what it held: there is nothing to capture.`,
      { code: 'charge_already_refunded' },
    );
  }
  return new InvalidRequestError(
    `The amount to capture (${formatAmount(amount ?? charge.amount, currency)}) is greater than what ` +
      `was authorised (${formatAmount(charge.amount, currency)}). Capture that or less.`,
    { code: 'amount_too_large', param: 'amount' },
  );
}

/**
 * Returns the amount of a refund. A charge that was not captured is released instead, always as a whole.
 * @param requested undefined for all that is left
 * @throws InvalidRequestError where nothing is left, or less than requested
 */
export function refundableAmount(charge: ChargeEntity, requested?: number): number {
  const { id, currency } = charge;
  if (charge.status === 'pending') throw stillPending(charge);
  if (charge.status === 'failed') {
    throw new InvalidRequestError(`The charge ${id} failed: there is nothing to refund.`, {
      code: 'charge_not_refundable',
    });
  }
  const left = charge.captured ? charge.amountCaptured - charge.amountRefunded : charge.amount;
  if (left === 0 || charge.released) {
    throw new InvalidRequestError(`Charge ${id} has already been refunded.`, {
      code: 'charge_already_refunded',
    });
  }
  if (!charge.captured) requireReleasable(charge, requested);
  if (requested === undefined || requested <= left) return requested ?? left;
  throw new InvalidRequestError(
    `Refund amount (${formatAmount(requested, currency)}) is greater than unrefunded amount on charge ` +
      `(${formatAmount(left, currency)}). Refund that or less.`,
    { code: 'amount_too_large', param: 'amount' },
  );
}

/** An uncaptured charge can be released as a whole, if no payment intent made it. */
function requireReleasable(charge: ChargeEntity, requested: number | undefined): void {
  const { id, amount, currency, paymentIntent } = charge;
  if (paymentIntent !== null) {
    throw new InvalidRequestError(
      `The charge ${id} was not captured: there is nothing to refund. Cancel its payment intent ` +
        `${paymentIntent} to release what it holds, or capture that first.`,
      { code: 'charge_not_refundable' },
    );
  }
  if (requested === undefined || requested >= amount) return;
  throw new InvalidRequestError(
    `You cannot partially refund an uncaptured charge. Capture it for less than ` +
      `${formatAmount(amount, currency)} instead, or leave out amount to release all of it.`,
    { code: 'charge_not_refundable', param: 'amount' },
  );
}

function stillPending(charge: ChargeEntity): InvalidRequestError {
  return new InvalidRequestError(
    `The charge ${charge.id} is pending: another request on it is not finished. Repeat that one with ` +
      'its own idempotency key.',
    { code: 'charge_pending' },
  );
}
