import { declareReferences, type Metadata, unixSeconds } from '../wire';
import type { RefundEntity } from './refund.entity';
import type { RefundStatus } from './refund.states';

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

/** A refund as it goes over the wire. */
export interface RefundObject {
  readonly id: string;
  readonly object: 'refund';
  readonly amount: number;
  readonly charge: string;
  readonly created: number;
  readonly currency: string;
  readonly metadata: Metadata;
  readonly payment_intent: string | null;
  readonly reason: string | null;
  readonly status: RefundStatus;
  readonly [field: string]: unknown;
}

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
