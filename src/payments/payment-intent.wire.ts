import { declareReferences, type Metadata, unixSeconds } from '../wire';
import type { PaymentIntentEntity } from './payment-intent.entity';
import type { PaymentIntentStatus } from './payment-intent.states';

declareReferences('payment_intent', {
  customer: 'customer',
  payment_method: 'payment_method',
  latest_charge: 'charge',
  // Always null here, but Stripe's clients ask for them.
  application: 'application',
  on_behalf_of: 'account',
  payment_record: 'payment_record',
  review: 'review',
  source: 'source',
  'transfer_data.destination': 'account',
});

/** A payment intent as it goes over the wire. */
export interface PaymentIntentObject {
  readonly id: string;
  readonly object: 'payment_intent';
  readonly amount: number;
  readonly amount_capturable: number;
  readonly amount_received: number;
  readonly created: number;
  readonly currency: string;
  readonly customer: string | null;
  readonly latest_charge: string | null;
  readonly livemode: boolean;
  readonly metadata: Metadata;
  readonly payment_method: string | null;
  readonly status: PaymentIntentStatus;
  readonly [field: string]: unknown;
}

export function paymentIntentToWire(intent: PaymentIntentEntity): PaymentIntentObject {
  return {
    id: intent.id,
    object: 'payment_intent',
    allowed_payment_method_types: null,
    amount: intent.amount,
    amount_capturable: intent.amountCapturable,
    amount_details: { tip: {} },
    amount_received: intent.amountReceived,
    application: null,
    application_fee_amount: null,
    automatic_payment_methods: intent.automaticPaymentMethods,
    canceled_at: intent.canceledAt && unixSeconds(intent.canceledAt),
    cancellation_reason: intent.cancellationReason,
    capture_method: intent.captureMethod,
    client_secret: `${intent.id}_secret_${intent.secret}`,
    confirmation_method: intent.confirmationMethod,
    created: unixSeconds(intent.created),
    currency: intent.currency,
    customer: intent.customer,
    customer_account: null,
    description: intent.description,
    excluded_payment_method_types: null,
    last_payment_error: intent.lastPaymentError,
    latest_charge: intent.latestCharge,
    livemode: intent.livemode,
    managed_payments: null,
    metadata: intent.metadata,
    next_action: intent.nextAction,
    on_behalf_of: null,
    payment_method: intent.paymentMethod,
    payment_method_configuration_details: null,
    payment_method_options: {},
    payment_method_types: intent.paymentMethodTypes,
    payment_record: null,
    processing: null,
    receipt_email: intent.receiptEmail,
    review: null,
    setup_future_usage: intent.setupFutureUsage,
    shipping: intent.shipping,
    source: null,
    statement_descriptor: intent.statementDescriptor,
    statement_descriptor_suffix: intent.statementDescriptorSuffix,
    status: intent.status,
    transfer_data: null,
    transfer_group: null,
  };
}
