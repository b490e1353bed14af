/** The customer in responses: its schema and its values. */
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
  orNull,
  text,
  type TypeOf,
  unixSeconds,
} from '../wire';
import { customerFields } from './customer-fields';
import type { CustomerEntity } from './customer.entity';

const customerSchemas = inOrder({
  id: text(),
  object: literal('customer'),
  // Invoices are not part of this API, so nothing is ever owed or in credit.
  balance: literal(0),
  created: integer('Unix seconds.'),
  currency: alwaysNull(),
  default_source: orNull(text('What pays when no payment method is named.')),
  delinquent: literal(false),
  ...customerFields.schemas,
  discount: alwaysNull(),
  invoice_prefix: text(),
  invoice_settings: object({
    custom_fields: alwaysNull(),
    default_payment_method: orNull(text()),
    footer: alwaysNull(),
    rendering_options: alwaysNull(),
  }),
  livemode: flag('False for objects of the sandbox.'),
  next_invoice_sequence: literal(1),
  test_clock: alwaysNull(),
});
const BLANK_CUSTOMER = blankOf(customerSchemas);

/** A customer as it goes over the wire (https://docs.stripe.com/api/customers/object). */
export const customerSchema = named('Customer', object(customerSchemas));
export type CustomerObject = TypeOf<typeof customerSchema>;
export const customerListSchema = listSchema('CustomerList', customerSchema);

/** A deleted customer in responses. */
export const deletedCustomerSchema = named(
  'DeletedCustomer',
  object({ id: text(), object: literal('customer'), deleted: literal(true) }),
);
export type DeletedCustomerObject = TypeOf<typeof deletedCustomerSchema>;

declareReferences('customer', {
  default_source: 'payment_method',
  'invoice_settings.default_payment_method': 'payment_method',
  // Always null here.
  test_clock: 'test_helpers.test_clock',
});

export function customerToWire(customer: CustomerEntity): CustomerObject | DeletedCustomerObject {
  if (customer.deleted) return { id: customer.id, object: 'customer', deleted: true };
  return {
    ...BLANK_CUSTOMER,
    id: customer.id,
    object: 'customer',
    balance: 0,
    created: unixSeconds(customer.created),
    currency: null,
    default_source: customer.defaultSource,
    delinquent: false,
    ...customerFields.toWire(customer),
    discount: null,
    invoice_prefix: customer.invoicePrefix,
    invoice_settings: {
      custom_fields: null,
      default_payment_method: customer.defaultPaymentMethod,
      footer: null,
      rendering_options: null,
    },
    livemode: customer.livemode,
    next_invoice_sequence: 1,
    test_clock: null,
  };
}
