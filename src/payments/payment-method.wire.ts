import { declareReferences, type Metadata, unixSeconds } from '../wire';
import type { CardFace, PaymentMethodEntity } from './payment-method.entity';

declareReferences('payment_method', {
  customer: 'customer',
  // Always null here.
  'card.generated_from.setup_attempt': 'setup_attempt',
});

/** Nobody's name and address: the sandbox's cards have none. */
export const NO_BILLING_DETAILS = {
  address: null,
  email: null,
  name: null,
  phone: null,
  tax_id: null,
} as const;

/** A payment method as it goes over the wire. */
export interface PaymentMethodObject {
  readonly id: string;
  readonly object: 'payment_method';
  readonly allow_redisplay: string;
  readonly billing_details: object;
  readonly card: object;
  readonly created: number;
  readonly customer: string | null;
  readonly customer_account: null;
  readonly livemode: boolean;
  readonly metadata: Metadata;
  readonly type: 'card';
}

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

/** What every object that shows a card shows of it. */
export function cardToWire(card: CardFace) {
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
  } as const;
}

/** Brands as the older card object of `charge.source` spells them. */
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
export function sourceToWire(id: string, card: CardFace, customer: string | null): object {
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
