import { declareReferences, type Metadata, unixSeconds } from '../wire';
import type { ChargeEntity, ChargeStatus } from './charge.entity';
import { cardToWire, NO_BILLING_DETAILS, sourceToWire } from './payment-method.wire';
import type { Shipping } from './shipping';

declareReferences('charge', {
  customer: 'customer',
  payment_intent: 'payment_intent',
  // Always null here, but Stripe's clients ask for them.
  application: 'application',
  application_fee: 'application_fee',
  balance_transaction: 'balance_transaction',
  failure_balance_transaction: 'balance_transaction',
  on_behalf_of: 'account',
  'outcome.rule': 'rule',
  review: 'review',
  source_transfer: 'transfer',
  transfer: 'transfer',
  'transfer_data.destination': 'account',
});
declareReferences('balance_transaction', { source: 'charge' });
declareReferences('review', { charge: 'charge', payment_intent: 'payment_intent' });

/** A charge as it goes over the wire. */
export interface ChargeObject {
  readonly id: string;
  readonly object: 'charge';
  readonly amount: number;
  readonly amount_captured: number;
  readonly amount_refunded: number;
  readonly captured: boolean;
  readonly created: number;
  readonly currency: string;
  readonly customer: string | null;
  readonly livemode: boolean;
  readonly metadata: Metadata;
  readonly paid: boolean;
  readonly payment_intent: string | null;
  readonly payment_method: string | null;
  readonly refunded: boolean;
  readonly shipping: Shipping | null;
  readonly status: ChargeStatus;
  readonly [field: string]: unknown;
}

export function chargeToWire(charge: ChargeEntity): ChargeObject {
  // What was held and released reads as refunded, though nothing was paid back.
  const refunded = charge.released ? charge.amount : charge.amountRefunded;
  return {
    id: charge.id,
    object: 'charge',
    amount: charge.amount,
    amount_captured: charge.amountCaptured,
    amount_refunded: refunded,
    application: null,
    application_fee: null,
    application_fee_amount: null,
    balance_transaction: null,
    billing_details: { ...NO_BILLING_DETAILS },
    calculated_statement_descriptor: charge.statementDescriptor,
    captured: charge.captured,
    created: unixSeconds(charge.created),
    currency: charge.currency,
    customer: charge.customer,
    description: charge.description,
    disputed: false,
    failure_balance_transaction: null,
    failure_code: charge.failureCode,
    failure_message: charge.failureMessage,
    fraud_details: {},
    livemode: charge.livemode,
    metadata: charge.metadata,
    on_behalf_of: null,
    outcome: outcomeToWire(charge),
    paid: charge.reference !== null,
    payment_intent: charge.paymentIntent,
    payment_method: charge.paymentMethod,
    payment_method_details: { card: cardDetails(charge), type: 'card' },
    receipt_email: charge.receiptEmail,
    receipt_number: null,
    receipt_url: null,
    refunded: charge.released || (charge.captured && refunded === charge.amountCaptured),
    review: null,
    shipping: charge.shipping,
    // Charges of payment intents name their card in payment_method alone.
    source:
      charge.paymentIntent === null
        ? sourceToWire(charge.paymentMethod, charge.card, charge.customer)
        : null,
    source_transfer: null,
    statement_descriptor: charge.statementDescriptor,
    statement_descriptor_suffix: charge.statementDescriptorSuffix,
    status: charge.status,
    transfer_data: null,
    transfer_group: null,
  };
}

function cardDetails(charge: ChargeEntity): object {
  return {
    ...cardToWire(charge.card),
    amount_authorized: charge.reference === null ? null : charge.amount,
    authorization_code: null,
    electronic_commerce_indicator: null,
    installments: null,
    mandate: null,
    network: charge.card.brand,
    network_transaction_id: null,
    three_d_secure: null,
    transaction_link_id: null,
  };
}

/** Null until the acquirer has answered. */
function outcomeToWire(charge: ChargeEntity): object | null {
  const codes = { advice_code: null, network_advice_code: null, network_decline_code: null };
  if (charge.status === 'failed') {
    return {
      ...codes,
      network_status: 'declined_by_network',
      reason: charge.declineCode ?? charge.failureCode,
      risk_level: 'normal',
      seller_message: 'The bank declined this payment.',
      type: 'issuer_declined',
    };
  }
  if (charge.reference === null) return null;
  return {
    ...codes,
    network_status: charge.released ? 'reversed_after_approval' : 'approved_by_network',
    reason: null,
    risk_level: 'normal',
    seller_message: charge.released ? 'Authorization released.' : 'Payment complete.',
    type: 'authorized',
  };
}
