/** The payment intent in responses: its schema and its values. */
import {
  arrayOf,
  blankOf,
  declareReferences,
  either,
  flag,
  inOrder,
  integer,
  listSchema,
  literal,
  named,
  alwaysNull,
  object,
  oneOf,
  optional,
  orNull,
  referenceTo,
  text,
  type TypeOf,
  unixSeconds,
} from '../../wire';
import type { PaymentIntentEntity } from './payment-intent.entity';
import { CAPTURE_METHODS, PAYMENT_INTENT_STATUSES } from './payment-intent.states';
import { descriptiveFields } from '../charges/descriptive-fields';

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

const lastPaymentError = object({
  type: literal('card_error'),
  code: text(),
  decline_code: optional(text()),
  message: text(),
  charge: text(),
  payment_method: referenceTo<object>('PaymentMethod'),
});

const nextAction = either(
  object({
    type: literal('redirect_to_url'),
    redirect_to_url: object({ return_url: text(), url: orNull(text()) }),
  }),
  object({
    type: literal('use_stripe_sdk'),
    use_stripe_sdk: object({ type: literal('three_d_secure_redirect') }),
  }),
);

const paymentIntentSchemas = inOrder({
  id: text(),
  object: literal('payment_intent'),
  allowed_payment_method_types: alwaysNull(),
  amount: integer("In the currency's smallest unit."),
  amount_capturable: integer('Authorised and waiting for its capture.'),
  amount_details: object({ tip: object({}) }),
  amount_received: integer(),
  application: alwaysNull(),
  application_fee_amount: alwaysNull(),
  automatic_payment_methods: orNull(object({ allow_redirects: optional(text()), enabled: flag() })),
  canceled_at: orNull(integer('Unix seconds.')),
  cancellation_reason: orNull(text()),
  capture_method: oneOf(CAPTURE_METHODS),
  client_secret: text(),
  confirmation_method: oneOf(['automatic', 'manual']),
  created: integer('Unix seconds.'),
  currency: text(),
  customer: orNull(text()),
  customer_account: alwaysNull(),
  ...descriptiveFields.schemas,
  excluded_payment_method_types: alwaysNull(),
  last_payment_error: orNull(lastPaymentError),
  latest_charge: orNull(text()),
  livemode: flag('False for objects of the sandbox.'),
  managed_payments: alwaysNull(),
  next_action: orNull(nextAction),
  on_behalf_of: alwaysNull(),
  payment_method: orNull(text()),
  payment_method_configuration_details: alwaysNull(),
  payment_method_options: object({}),
  payment_method_types: arrayOf(text()),
  payment_record: alwaysNull(),
  processing: alwaysNull(),
  review: alwaysNull(),
  setup_future_usage: orNull(oneOf(['off_session', 'on_session'])),
  source: alwaysNull(),
  status: oneOf(PAYMENT_INTENT_STATUSES),
  transfer_data: alwaysNull(),
});
const BLANK_PAYMENT_INTENT = blankOf(paymentIntentSchemas);

/** A payment intent as it goes over the wire (https://docs.stripe.com/api/payment_intents/object). */
export const paymentIntentSchema = named('PaymentIntent', object(paymentIntentSchemas));
export type PaymentIntentObject = TypeOf<typeof paymentIntentSchema>;
export const paymentIntentListSchema = listSchema('PaymentIntentList', paymentIntentSchema);

export function paymentIntentToWire(intent: PaymentIntentEntity): PaymentIntentObject {
  return {
    ...BLANK_PAYMENT_INTENT,
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
    ...descriptiveFields.toWire(intent),
    excluded_payment_method_types: null,
    last_payment_error: intent.lastPaymentError,
    latest_charge: intent.latestCharge,
    livemode: intent.livemode,
    managed_payments: null,
    next_action: intent.nextAction,
    on_behalf_of: null,
    payment_method: intent.paymentMethod,
    payment_method_configuration_details: null,
    payment_method_options: {},
    payment_method_types: intent.paymentMethodTypes,
    payment_record: null,
    processing: null,
    review: null,
    setup_future_usage: intent.setupFutureUsage,
    source: null,
    status: intent.status,
    transfer_data: null,
  };
}
