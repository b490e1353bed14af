/** The errors of payment intents, with the codes and messages that the client gets. */
import { acquirerCode, CardError, formatAmount, InvalidRequestError } from '../../wire';
import type { Declined } from '../../gateway';
import type { PaymentFailure, PaymentIntentEntity } from './payment-intent.entity';
import { type PaymentIntentAction, statusesFor } from './payment-intent.states';
import { paymentIntentToWire } from './payment-intent.wire';
import type { PaymentMethodObject } from '../payment-methods/payment-method.wire';

/**
 * 400 `payment_intent_unexpected_state`: the status of the payment does not allow the action.
 * @param verb the action in the message, where its name does not say enough
 */
export function unexpectedState(
  intent: PaymentIntentEntity,
  action: PaymentIntentAction,
  verb: string = action,
): InvalidRequestError {
  const what =
    intent.status === 'processing'
      ? 'Another request on it is not finished: repeat that one with its own idempotency key.'
      : `It must have one of these statuses: ${statusesFor(action).join(', ')}.`;
  return stateError(
    intent,
    `You cannot ${verb} this PaymentIntent because it has a status of ${intent.status}. ${what}`,
  );
}

/** 400 `payment_intent_unexpected_state`: there is no payment method to charge. */
export function missingPaymentMethod(intent: PaymentIntentEntity): InvalidRequestError {
  return stateError(
    intent,
    "You cannot confirm this PaymentIntent because it's missing a payment method. Confirm it again " +
      'with the payment_method parameter.',
  );
}

/** 400 `payment_intent_unexpected_state`: the payment took no money. */
export function nothingToRefund(intent: PaymentIntentEntity): InvalidRequestError {
  const what =
    intent.status === 'requires_capture'
      ? 'Cancel it instead: that releases what it holds.'
      : `It has a status of ${intent.status}.`;
  return stateError(
    intent,
    `This PaymentIntent (${intent.id}) does not have a successful charge to refund. ${what}`,
  );
}

/** 400 `amount_too_large`: more than the authorised amount. */
export function captureTooLarge(intent: PaymentIntentEntity, amount: number): InvalidRequestError {
  const { amountCapturable, currency } = intent;
  return new InvalidRequestError(
    `The amount to capture (${formatAmount(amount, currency)}) is greater than what was authorised ` +
      `(${formatAmount(amountCapturable, currency)}). Capture that or less.`,
    {
      code: 'amount_too_large',
      param: 'amount_to_capture',
      payment_intent: paymentIntentToWire(intent),
    },
  );
}

/** A decline as `last_payment_error` stores it. */
export function paymentFailure(
  outcome: Declined,
  payment: { readonly charge: string; readonly method: PaymentMethodObject },
): PaymentFailure {
  return {
    type: 'card_error',
    code: outcome.code,
    ...(outcome.declineCode === null ? {} : { decline_code: outcome.declineCode }),
    message: outcome.message,
    charge: payment.charge,
    payment_method: payment.method,
  };
}

/** 402: a decline as the client gets it, with the payment intent after it. */
export function declineError(intent: PaymentIntentEntity, failure: PaymentFailure): CardError {
  const { type: _, code, message, ...details } = failure;
  return new CardError(message, {
    code: acquirerCode(code),
    ...details,
    payment_intent: paymentIntentToWire(intent),
  });
}

function stateError(intent: PaymentIntentEntity, message: string): InvalidRequestError {
  return new InvalidRequestError(message, {
    code: 'payment_intent_unexpected_state',
    payment_intent: paymentIntentToWire(intent),
  });
}
