/** The charge in responses: its schema and its values. */
import {
  blankOf,
  declareReferences,
  flag,
  inOrder,
  integer,
  listSchema,
  literal,
  named,
  alwaysNull,
  object,
  oneOf,
  orNull,
  text,
  type TypeOf,
  unixSeconds,
} from '../../wire';
import { CHARGE_STATUSES, type ChargeEntity } from './charge.entity';
import {
  billingDetailsSchema,
  cardFields,
  cardToWire,
  NO_BILLING_DETAILS,
  sourceSchema,
  sourceToWire,
} from '../payment-methods/payment-method.wire';
import { descriptiveFields } from './descriptive-fields';

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

const cardDetailsSchema = object({
  ...cardFields,
  amount_authorized: orNull(integer()),
  authorization_code: alwaysNull(),
  electronic_commerce_indicator: alwaysNull(),
  installments: alwaysNull(),
  mandate: alwaysNull(),
  network: text(),
  network_transaction_id: alwaysNull(),
  three_d_secure: alwaysNull(),
  transaction_link_id: alwaysNull(),
});

const outcomeSchema = object({
  advice_code: alwaysNull(),
  network_advice_code: alwaysNull(),
  network_decline_code: alwaysNull(),
  network_status: oneOf(['approved_by_network', 'declined_by_network', 'reversed_after_approval']),
  reason: orNull(text()),
  risk_level: literal('normal'),
  seller_message: text(),
  type: oneOf(['authorized', 'issuer_declined']),
});

const chargeSchemas = inOrder({
  id: text(),
  object: literal('charge'),
  amount: integer("In the currency's smallest unit."),
  amount_captured: integer(),
  amount_refunded: integer(),
  application: alwaysNull(),
  application_fee: alwaysNull(),
  application_fee_amount: alwaysNull(),
  balance_transaction: alwaysNull(),
  billing_details: billingDetailsSchema,
  calculated_statement_descriptor: orNull(text()),
  captured: flag('False while it is only authorised.'),
  created: integer('Unix seconds.'),
  currency: text(),
  customer: orNull(text()),
  ...descriptiveFields.schemas,
  disputed: literal(false),
  failure_balance_transaction: alwaysNull(),
  failure_code: orNull(text()),
  failure_message: orNull(text()),
  fraud_details: object({}),
  livemode: flag('False for objects of the sandbox.'),
  on_behalf_of: alwaysNull(),
  outcome: orNull(outcomeSchema),
  paid: flag(),
  payment_intent: orNull(text()),
  payment_method: text(),
  payment_method_details: object({ card: cardDetailsSchema, type: literal('card') }),
  receipt_number: alwaysNull(),
  receipt_url: alwaysNull(),
  refunded: flag(),
  review: alwaysNull(),
  source: orNull(sourceSchema),
  source_transfer: alwaysNull(),
  status: oneOf(CHARGE_STATUSES),
  transfer_data: alwaysNull(),
});
const BLANK_CHARGE = blankOf(chargeSchemas);

/** A charge as it goes over the wire (https://docs.stripe.com/api/charges/object). */
export const chargeSchema = named('Charge', object(chargeSchemas));
export type ChargeObject = TypeOf<typeof chargeSchema>;
export const chargeListSchema = listSchema('ChargeList', chargeSchema);

export function chargeToWire(charge: ChargeEntity): ChargeObject {
  // A released charge reads as refunded, though nothing was paid back.
  const refunded = charge.released ? charge.amount : charge.amountRefunded;
  return {
    ...BLANK_CHARGE,
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
    ...descriptiveFields.toWire(charge),
    disputed: false,
    failure_balance_transaction: null,
    failure_code: charge.failureCode,
    failure_message: charge.failureMessage,
    fraud_details: {},
    livemode: charge.livemode,
    on_behalf_of: null,
    outcome: outcomeToWire(charge),
    paid: charge.reference !== null,
    payment_intent: charge.paymentIntent,
    payment_method: charge.paymentMethod,
    payment_method_details: { card: cardDetails(charge), type: 'card' },
    receipt_number: null,
    receipt_url: null,
    refunded: charge.released || (charge.captured && refunded === charge.amountCaptured),
    review: null,
    // Charges of payment intents name their card in payment_method alone.
    source:
      charge.paymentIntent === null
        ? sourceToWire(charge.paymentMethod, charge.card, charge.customer)
        : null,
    source_transfer: null,
    status: charge.status,
    transfer_data: null,
  };
}

function cardDetails(charge: ChargeEntity): TypeOf<typeof cardDetailsSchema> {
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

/** Null until the acquirer's outcome is known. */
function outcomeToWire(charge: ChargeEntity): TypeOf<typeof outcomeSchema> | null {
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
