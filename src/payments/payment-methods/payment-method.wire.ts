/** The payment method in responses: its schema and its values. */
import {
  arrayOf,
  declareReferences,
  flag,
  integer,
  listSchema,
  literal,
  named,
  alwaysNull,
  object,
  orNull,
  text,
  textsByName,
  type TypeOf,
  unixSeconds,
} from '../../wire';
import type { CardFace, PaymentMethodEntity } from './payment-method.entity';

declareReferences('payment_method', {
  customer: 'customer',
  // Always null here.
  'card.generated_from.setup_attempt': 'setup_attempt',
});

/** All null: the sandbox's cards have no name and no address. */
export const NO_BILLING_DETAILS = {
  address: null,
  email: null,
  name: null,
  phone: null,
  tax_id: null,
} as const;
export const billingDetailsSchema = object({
  address: alwaysNull(),
  email: alwaysNull(),
  name: alwaysNull(),
  phone: alwaysNull(),
  tax_id: alwaysNull(),
});

/** The fields of a card in every object that shows one. */
export const cardFields = {
  brand: text('visa, mastercard, amex, …'),
  checks: object({
    address_line1_check: alwaysNull(),
    address_postal_code_check: alwaysNull(),
    cvc_check: literal('pass'),
  }),
  country: text(),
  exp_month: integer(),
  exp_year: integer(),
  fingerprint: text('The same for the same card, however often it is handed in.'),
  funding: text('credit, debit or prepaid.'),
  last4: text(),
  regulated_status: literal('unregulated'),
  wallet: alwaysNull(),
};
const cardFieldsSchema = object(cardFields);

/** A payment method as it goes over the wire (https://docs.stripe.com/api/payment_methods/object). */
export const paymentMethodSchema = named(
  'PaymentMethod',
  object({
    id: text(),
    object: literal('payment_method'),
    allow_redisplay: literal('unspecified'),
    billing_details: billingDetailsSchema,
    card: object({
      ...cardFields,
      display_brand: text(),
      generated_from: alwaysNull(),
      networks: object({ available: arrayOf(text()), preferred: alwaysNull() }),
      three_d_secure_usage: object({ supported: literal(true) }),
    }),
    created: integer('Unix seconds.'),
    customer: orNull(text()),
    customer_account: alwaysNull(),
    livemode: flag('False for objects of the sandbox.'),
    metadata: textsByName(),
    type: literal('card'),
  }),
);
export type PaymentMethodObject = TypeOf<typeof paymentMethodSchema>;
export const paymentMethodListSchema = listSchema('PaymentMethodList', paymentMethodSchema);

export function paymentMethodToWire(method: PaymentMethodEntity): PaymentMethodObject {
  return {
    id: method.id,
    object: 'payment_method',
    allow_redisplay: 'unspecified',
    billing_details: { ...NO_BILLING_DETAILS },
    card: {
      ...cardToWire(method.card),
      display_brand: method.card.brand,
      generated_from: null,
      networks: { available: [method.card.brand], preferred: null },
      three_d_secure_usage: { supported: true },
    },
    created: unixSeconds(method.created),
    customer: method.customer,
    customer_account: null,
    livemode: method.livemode,
    metadata: method.metadata,
    type: 'card',
  };
}

/** The values of `cardFields`. */
export function cardToWire(card: CardFace): TypeOf<typeof cardFieldsSchema> {
  return {
    brand: card.brand,
    checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: 'pass' },
    country: card.country,
    exp_month: card.exp_month,
    exp_year: card.exp_year,
    fingerprint: card.fingerprint,
    funding: card.funding,
    last4: card.last4,
    regulated_status: 'unregulated',
    wallet: null,
  };
}

/** Brands as `charge.source`, the older card object, spells them. */
const SOURCE_BRANDS: Readonly<Record<string, string>> = {
  visa: 'Visa',
  mastercard: 'MasterCard',
  amex: 'American Express',
  discover: 'Discover',
  diners: 'Diners Club',
  jcb: 'JCB',
  unionpay: 'UnionPay',
};

/** A payment method as the card object that `source` has on a charge. */
export const sourceSchema = object({
  id: text(),
  object: literal('card'),
  address_city: alwaysNull(),
  address_country: alwaysNull(),
  address_line1: alwaysNull(),
  address_line1_check: alwaysNull(),
  address_line2: alwaysNull(),
  address_state: alwaysNull(),
  address_zip: alwaysNull(),
  address_zip_check: alwaysNull(),
  brand: text('Visa, MasterCard, American Express, …'),
  country: text(),
  customer: orNull(text()),
  cvc_check: literal('pass'),
  dynamic_last4: alwaysNull(),
  exp_month: integer(),
  exp_year: integer(),
  fingerprint: text(),
  funding: text(),
  last4: text(),
  metadata: textsByName(),
  name: alwaysNull(),
  regulated_status: literal('unregulated'),
  tokenization_method: alwaysNull(),
});

export function sourceToWire(
  id: string,
  card: CardFace,
  customer: string | null,
): TypeOf<typeof sourceSchema> {
  return {
    id,
    object: 'card',
    address_city: null,
    address_country: null,
    address_line1: null,
    address_line1_check: null,
    address_line2: null,
    address_state: null,
    address_zip: null,
    address_zip_check: null,
    brand: SOURCE_BRANDS[card.brand] ?? 'Unknown',
    country: card.country,
    customer,
    cvc_check: 'pass',
    dynamic_last4: null,
    exp_month: card.exp_month,
    exp_year: card.exp_year,
    fingerprint: card.fingerprint,
    funding: card.funding,
    last4: card.last4,
    metadata: {},
    name: null,
    regulated_status: 'unregulated',
    tokenization_method: null,
  };
}
