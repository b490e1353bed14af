/** The refund in responses: its schema and its values. */
import {
  declareReferences,
  integer,
  listSchema,
  literal,
  named,
  alwaysNull,
  object,
  oneOf,
  optional,
  orNull,
  text,
  textsByName,
  type TypeOf,
  unixSeconds,
} from '../wire';
import type { RefundEntity } from './refund.entity';
import { REFUND_STATUSES } from './refund.states';

declareReferences('refund', {
  charge: 'charge',
  customer: 'customer',
  payment_intent: 'payment_intent',
  payment_method: 'payment_method',
  // Always null here, but Stripe's clients ask for them.
  balance_transaction: 'balance_transaction',
  failure_balance_transaction: 'balance_transaction',
  source_transfer_reversal: 'transfer_reversal',
  transfer_reversal: 'transfer_reversal',
});

/** A refund as it goes over the wire (https://docs.stripe.com/api/refunds/object). */
export const refundSchema = named(
  'Refund',
  object({
    id: text(),
    object: literal('refund'),
    amount: integer("In the currency's smallest unit."),
    balance_transaction: alwaysNull(),
    charge: text(),
    created: integer('Unix seconds.'),
    currency: text(),
    customer: orNull(text()),
    customer_account: alwaysNull(),
    destination_details: object({
      card: object({
        reference_status: literal('pending'),
        reference_type: literal('acquirer_reference_number'),
        type: literal('refund'),
      }),
      type: literal('card'),
    }),
    failure_reason: optional(text('Only where the refund failed.')),
    metadata: textsByName(),
    payment_intent: orNull(text()),
    payment_method: text(),
    pending_reason: optional(literal('processing')),
    reason: orNull(text('duplicate, fraudulent or requested_by_customer.')),
    receipt_number: alwaysNull(),
    source_transfer_reversal: alwaysNull(),
    status: oneOf(REFUND_STATUSES),
    transfer_reversal: alwaysNull(),
  }),
);
export type RefundObject = TypeOf<typeof refundSchema>;
export const refundListSchema = listSchema('RefundList', refundSchema);

export function refundToWire(refund: RefundEntity): RefundObject {
  return {
    id: refund.id,
    object: 'refund',
    amount: refund.amount,
    balance_transaction: null,
    charge: refund.charge,
    created: unixSeconds(refund.created),
    currency: refund.currency,
    customer: refund.customer,
    customer_account: null,
    destination_details: {
      card: {
        reference_status: 'pending',
        reference_type: 'acquirer_reference_number',
        type: 'refund',
      },
      type: 'card',
    },
    ...(refund.failureReason === null ? {} : { failure_reason: refund.failureReason }),
    metadata: refund.metadata,
    payment_intent: refund.paymentIntent,
    payment_method: refund.paymentMethod,
    ...(refund.status === 'pending' ? { pending_reason: 'processing' } : {}),
    reason: refund.reason,
    receipt_number: null,
    source_transfer_reversal: null,
    status: refund.status,
    transfer_reversal: null,
  };
}
