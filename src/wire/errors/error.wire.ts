/** The body of an error on the wire (https://docs.stripe.com/api/errors). */
import {
  named,
  object,
  oneOf,
  optional,
  referenceTo,
  type Schema,
  text,
  type TypeOf,
} from '../schema/schema';
import { type ApiErrorType, ERROR_TYPES, type ErrorCode } from './error-table';

declare const ACQUIRER: unique symbol;
/** A code that an acquirer gave. It is sent as it is, in the table or not. */
export type AcquirerCode = string & { readonly [ACQUIRER]: true };

export function acquirerCode(code: string): AcquirerCode {
  return code as AcquirerCode;
}

/** The fields of an error beside its message. */
const details = {
  code: optional(
    text('Stable and machine-readable, e.g. resource_missing.') as Schema<ErrorCode | AcquirerCode>,
  ),
  param: optional(text('The parameter that is to blame, e.g. amount or shipping[name].')),
  decline_code: optional(text('Why the card was declined, where the bank said so.')),
  charge: optional(text('Id of the charge that failed.')),
  payment_intent: optional(referenceTo<object>('PaymentIntent')),
  payment_method: optional(referenceTo<object>('PaymentMethod')),
};
const detailsSchema = object(details);
export type ApiErrorDetails = TypeOf<typeof detailsSchema>;

/** The body of every response from status 400 on. */
export const errorSchema = named(
  'Error',
  object({
    error: object({
      ...details,
      doc_url: optional(text('A URL to more information about the error.')),
      type: oneOf(Object.keys(ERROR_TYPES) as ApiErrorType[]),
      message: text('For people: what is wrong and what to do.'),
    }),
  }),
);
export type WireError = TypeOf<typeof errorSchema>;
