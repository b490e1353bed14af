import { declareReferences, unixSeconds, type Metadata } from '../wire';
import type { Address, CustomerEntity, Shipping } from './customer.entity';

/** A customer as it goes over the wire (https://docs.stripe.com/api/customers/object). */
export interface WireCustomer {
  readonly id: string;
  readonly object: 'customer';
  readonly address: Address | null;
  /** Invoices are not part of this API, so nothing is ever owed or in credit. */
  readonly balance: 0;
  readonly created: number;
  readonly currency: null;
  readonly default_source: string | null;
  readonly delinquent: false;
  readonly description: string | null;
  readonly discount: null;
  readonly email: string | null;
  readonly invoice_prefix: string;
  readonly invoice_settings: {
    readonly custom_fields: null;
    readonly default_payment_method: string | null;
    readonly footer: null;
    readonly rendering_options: null;
  };
  readonly livemode: boolean;
  readonly metadata: Metadata;
  readonly name: string | null;
  readonly next_invoice_sequence: 1;
  readonly phone: string | null;
  readonly preferred_locales: string[];
  readonly shipping: Shipping | null;
  readonly tax_exempt: string;
  readonly test_clock: null;
}

/** What is left of a customer that was deleted. */
export interface WireDeletedCustomer {
  readonly id: string;
  readonly object: 'customer';
  readonly deleted: true;
}

declareReferences('customer', {
  default_source: 'payment_method',
  'invoice_settings.default_payment_method': 'payment_method',
  // Always null here.
  test_clock: 'test_helpers.test_clock',
});

export function toWireCustomer(customer: CustomerEntity): WireCustomer | WireDeletedCustomer {
  if (customer.deleted) return { id: customer.id, object: 'customer', deleted: true };
  return {
    id: customer.id,
    object: 'customer',
    address: customer.address,
    balance: 0,
    created: unixSeconds(customer.created),
    currency: null,
    default_source: customer.defaultSource,
    delinquent: false,
    description: customer.description,
    discount: null,
    email: customer.email,
    invoice_prefix: customer.invoicePrefix,
    invoice_settings: {
      custom_fields: null,
      default_payment_method: customer.defaultPaymentMethod,
      footer: null,
      rendering_options: null,
    },
    livemode: customer.livemode,
    metadata: customer.metadata,
    name: customer.name,
    next_invoice_sequence: 1,
    phone: customer.phone,
    preferred_locales: customer.preferredLocales,
    shipping: customer.shipping,
    tax_exempt: customer.taxExempt,
    test_clock: null,
  };
}
