import { named, object, oneOf, optional, referenceTo, text, type TypeOf } from '../schema/schema';

/** What an error may carry beside its message. */
const details = {
  code: optional(text('Stable and machine-readable, e.g. resource_missing.')),
  param: optional(text('The parameter that is to blame, e.g. amount or shipping[name].')),
  decline_code: optional(text('Why the card was declined, where the bank said so.')),
  charge: optional(text('Id of the charge that failed.')),
  payment_intent: optional(referenceTo<object>('PaymentIntent')),
  payment_method: optional(referenceTo<object>('PaymentMethod')),
};
const detailsSchema = object(details);
export type ApiErrorDetails = TypeOf<typeof detailsSchema>;

/** The body of every answer from 400 on (https://docs.stripe.com/api/errors). */
export const errorSchema = named(
  'Error',
  object({
    error: object({
      ...details,
      type: oneOf([
        'api_error',
        'card_error',
        'idempotency_error',
        'invalid_request_error',
        'rate_limit_error',
      ]),
      message: text('For people: what is wrong and what to do.'),
    }),
  }),
);
export type WireError = TypeOf<typeof errorSchema>;
export type ApiErrorType = WireError['error']['type'];
