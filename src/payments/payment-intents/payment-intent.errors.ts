/** What goes wrong with a payment intent, in the words and codes the client gets. */
import { CardError, formatAmount, InvalidRequestError } from '../../wire';
import type { Declined } from '../../gateway';
import type { NextAction, PaymentFailure, PaymentIntentEntity } from './payment-intent.entity';
import { type PaymentIntentAction, statusesFor } from './payment-intent.states';
import { paymentIntentToWire } from './payment-intent.wire';
import type { PaymentMethodObject } from '../payment-methods/payment-method.wire';

/**
 * 400 `payment_intent_unexpected_state`: the action is not possible where the payment stands.
 * @param verb the action in words, where its name does not say enough
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

/** 400 `payment_intent_unexpected_state`: nothing to charge. */
export function missingPaymentMethod(intent: PaymentIntentEntity): InvalidRequestError {
  return stateError(
    intent,
    "You cannot confirm this PaymentIntent because it's missing a payment method. Confirm it again " +
      'with the payment_method parameter.',
  );
}

/** 400 `payment_intent_unexpected_state`: there is nothing that could be paid back. */
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

/** 400 `amount_too_large`: more is to be captured than was authorised. */
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

/** A decline as `last_payment_error` keeps it. */
export function failureOf(
  outcome: Declined,
  charge: string,
  method: PaymentMethodObject,
): PaymentFailure {
  return {
    type: 'card_error',
    code: outcome.code,
    ...(outcome.declineCode === null ? {} : { decline_code: outcome.declineCode }),
    message: outcome.message,
    charge,
    payment_method: method,
  };
}

/** 402: a decline as the client gets it, with the payment intent as the decline left it. */
export function declineOf(intent: PaymentIntentEntity, failure: PaymentFailure): CardError {
  const { type: _, message, ...details } = failure;
  return new CardError(message, { ...details, payment_intent: paymentIntentToWire(intent) });
}

/**
 * What the buyer is asked to do. The sandbox has no bank to send anybody to: a redirect leads straight
 * back to the merchant's page.
 */
export function authenticationOf(returnUrl: string | null): NextAction {
  return returnUrl === null
    ? { type: 'use_stripe_sdk', use_stripe_sdk: { type: 'three_d_secure_redirect' } }
    : { type: 'redirect_to_url', redirect_to_url: { return_url: returnUrl, url: returnUrl } };
}

function stateError(intent: PaymentIntentEntity, message: string): InvalidRequestError {
  return new InvalidRequestError(message, {
    code: 'payment_intent_unexpected_state',
    payment_intent: paymentIntentToWire(intent),
  });
}
