/** What may happen to a charge, and what becomes of it. Pure: what is written where, others decide. */
import type { KnownOutcome } from '../../gateway';
import { formatAmount, InvalidRequestError } from '../../wire';
import type { ChargeEntity } from './charge.entity';

/** The columns that say what the acquirer answered to a charge. */
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

/** What a charge becomes by the acquirer's answer. */
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
 * Why a charge cannot be captured.
 * @param amount what was to be captured; undefined for all of it
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
 * What a refund of this charge may take. Of a charge that is not captured that is all it holds, which
 * is then released.
 * @param requested undefined for all that is left
 * @throws InvalidRequestError where nothing is left, or less than was asked for
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

/** What an uncaptured charge of its own holds can be released, as a whole. */
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
