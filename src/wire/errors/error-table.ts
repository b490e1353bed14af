/**
 * Every error that the API sends, explained: the page `/docs/errors` and `docs/ERRORS.md` are made of
 * this table (R24). A code that is not in it does not compile, neither here nor in `src/idempotency/`.
 */
import type { IdempotencyErrorCode } from '../../idempotency';

/** Whether the same request is worth sending again, unchanged. */
export type Retry =
  /** The request itself must change. */
  | 'no'
  /** With the same `Idempotency-Key`, where it had one. */
  | 'same key'
  /** The response is stored, so only a new key can lead to another one (R13). */
  | 'new key';

/** What a reader of an error wants to know. Texts are plain, with `code` in backticks. */
export interface ErrorEntry {
  /** In a few words. */
  readonly title: string;
  /** Statuses on /v1. */
  readonly status: readonly number[];
  readonly type: ApiErrorType;
  /** When it happens. */
  readonly when: string;
  /** What to do. */
  readonly action: string;
  readonly retry: Retry;
}

/** An error that has a type and no code. */
export interface ErrorTypeEntry {
  readonly title: string;
  readonly when: string;
  /** Status → when it is sent without a code, and what to do. */
  readonly withoutCode: Readonly<Record<number, string>>;
}

/** `error.type` (https://docs.stripe.com/api/errors). */
export const ERROR_TYPES = {
  api_error: {
    title: 'Something is wrong on the side of the server',
    when:
      'The request may be right. With an `Idempotency-Key` it is safe to send it again under the same ' +
      'key, whatever became of it.',
    withoutCode: {
      500:
        'An error that nobody foresaw; the message names the request. Send the request again with the ' +
        'same `Idempotency-Key`. If it fails again, give that name to the operator: the log has the cause.',
      503: 'The server cannot take this request now. Send it again with the same `Idempotency-Key`.',
    },
  },
  card_error: {
    title: 'The card could not be charged',
    when: 'The acquirer declined it, or there is no card to charge. No money moved.',
    withoutCode: {},
  },
  idempotency_error: {
    title: 'An `Idempotency-Key` was used for two requests',
    when: 'The key belongs to another request, and this one was not carried out.',
    withoutCode: {},
  },
  invalid_request_error: {
    title: 'The request is wrong',
    when:
      'Something about the request has to change, and the message says what. Codes of this type that ' +
      'are worth retrying say so.',
    withoutCode: {
      400:
        'A parameter has the wrong form or value (`param` names it), or the body, the URL or the ' +
        'headers cannot be read.',
      401:
        'There is no API key, or it is unknown or revoked. Send it as `Authorization: Bearer …` or as ' +
        'the user name of Basic authentication.',
      403: 'The API key does not act for other accounts. Leave out `Stripe-Account`.',
      404: 'No endpoint has this method and URL. Check both for slips.',
      408: 'The request did not arrive in time. Send it again with the same `Idempotency-Key`.',
      413: 'The body is too large, or came in too many small chunks. Send less, or larger chunks.',
      415:
        'The type, charset or encoding of the body cannot be read. Send ' +
        '`application/x-www-form-urlencoded` or `application/json`, in UTF-8 and uncompressed.',
      417: 'The `Expect` header cannot be met. Send `100-continue`, or leave it out.',
      431: 'The headers are too many or too large. Send fewer or shorter ones.',
    },
  },
  rate_limit_error: {
    title: 'Too many requests at once',
    when: 'Nothing was done. The same request succeeds later.',
    withoutCode: {},
  },
} as const satisfies Readonly<Record<string, ErrorTypeEntry>>;
export type ApiErrorType = keyof typeof ERROR_TYPES;

const invalid = { status: [400], type: 'invalid_request_error', retry: 'no' } as const;
const declined = { status: [402], type: 'card_error', retry: 'no' } as const;

const TRY_ANOTHER_CARD =
  'Ask the buyer for another card. Send the new request with a new `Idempotency-Key`.';

/** `error.code`, in the order in which a reader looks for them: keys, parameters, payments. */
export const ERROR_CODES = {
  idempotency_key_missing: {
    ...invalid,
    title: 'No Idempotency-Key',
    when:
      'This endpoint runs only under a key, and the request has none. On /v1 that is every endpoint ' +
      'that moves money, unless `IDEMPOTENCY_KEY_REQUIRED` says otherwise.',
    action:
      'Make a key for the operation, a UUID for example. Send it as the header `Idempotency-Key`, and ' +
      'the same key with every retry.',
  },
  idempotency_key_invalid: {
    ...invalid,
    title: 'Not a valid Idempotency-Key',
    when:
      'The key is empty, is longer than 255 characters, has other characters than printable ASCII, was ' +
      'sent twice, or looks like a card number. A request whose headers are so many that the key may ' +
      'have been dropped gets this error too.',
    action: 'Send one key of 1 to 255 printable ASCII characters. A UUID is one.',
  },
  idempotency_key_reused: {
    title: 'The key was used for another request',
    status: [400, 409],
    type: 'idempotency_error',
    when:
      'The key was first used for a request that differs from this one. Nothing was done. The message ' +
      'names the first request and the parameters that differ. The status is 400 to a client that sends ' +
      '`Stripe-Version` and 409 to others; `IDEMPOTENCY_REUSED_STATUS` sets another.',
    action:
      'To get the response of the first request, send that one unchanged. For a new operation, make a ' +
      'new key.',
    retry: 'no',
  },
  idempotency_key_in_use: {
    title: 'The first request with this key still runs',
    status: [409],
    type: 'invalid_request_error',
    when: 'Another request with the same key is running and has no response yet.',
    action:
      'Send the same request again after the seconds in `Retry-After`. With `Prefer: wait=10` the server ' +
      'waits up to 10 s for the response of the first.',
    retry: 'same key',
  },
  idempotency_body_unreadable: {
    title: 'The body cannot be compared with that of another request',
    status: [415],
    type: 'invalid_request_error',
    when:
      'The body was not read before the key was looked up, or what was read of it has no value to ' +
      'compare, or it could not be sent again after a crash. Nothing was done.',
    action:
      'Send the body in a media type that the endpoint reads. If it should read this one, tell its ' +
      'developer: the message says what to change.',
    retry: 'no',
  },
  idempotency_store_unavailable: {
    title: 'The database could not take the request',
    status: [503],
    type: 'api_error',
    when:
      'The database did not respond, or asked for another try, or the request failed in a way that may not ' +
      'last. What it did was undone.',
    action: 'Send the same request again after the seconds in `Retry-After`.',
    retry: 'same key',
  },
  idempotency_outcome_unknown: {
    title: 'It is not known yet whether the request took effect',
    status: [503],
    type: 'api_error',
    when:
      'The acquirer did not respond in time, or the database lost its connection during a commit. The ' +
      'request may or may not have taken effect.',
    action:
      'Send the same request with the same key until it gets another response: it is not done twice. ' +
      'Never send it with a new key. `GET /v1/idempotency_keys/{key}` tells what became of it.',
    retry: 'same key',
  },
  idempotency_commit_failed: {
    title: 'The work was rolled back',
    status: [500],
    type: 'api_error',
    when: 'The database refused to commit what the request did. Everything it did was rolled back.',
    action:
      'Send the same request again. If it fails again, tell the operator its `Request-Id`: the log has ' +
      'the cause.',
    retry: 'same key',
  },
  idempotency_response_unstorable: {
    title: 'The endpoint returned what cannot be stored',
    status: [500],
    type: 'api_error',
    when:
      'The endpoint returned something that cannot be sent again later, a stream for example. ' +
      'Everything the request did was rolled back.',
    action:
      'This is a mistake in the endpoint. Its developer returns a value from the handler instead.',
    retry: 'no',
  },
  idempotency_scope_missing: {
    title: 'No authenticated account',
    status: [500],
    type: 'api_error',
    when: 'The request reached an `@Idempotent()` endpoint without an authenticated account.',
    action:
      'This is a mistake in the application. Its developer puts the endpoint behind a guard that sets ' +
      'what the `scope` option reads.',
    retry: 'no',
  },
  service_unavailable: {
    title: 'The server cannot take the request now',
    status: [503],
    type: 'api_error',
    when: 'The database did not respond. Nothing was done.',
    action: 'Send the same request again after the seconds in `Retry-After`.',
    retry: 'same key',
  },
  lock_timeout: {
    title: 'Too many requests change the same object',
    status: [409],
    type: 'invalid_request_error',
    when: 'Other requests are changing the object at the same moment. Nothing was done.',
    action:
      'Send the same request again after the seconds in `Retry-After`. Send changes of one object one ' +
      'after the other.',
    retry: 'same key',
  },
  rate_limit: {
    title: 'Too many requests at once',
    status: [429],
    type: 'rate_limit_error',
    when:
      'More requests came at once than the server accepts. Nothing was done. This version has no such ' +
      'limit yet.',
    action: 'Send the same request again after the seconds in `Retry-After`.',
    retry: 'same key',
  },
  resource_missing: {
    ...invalid,
    title: 'There is no such object',
    status: [404, 400],
    when:
      'An id names nothing that this API key can see. The status is 404 where the id stands in the URL, ' +
      'and 400 where a parameter names it.',
    action: 'Check the id. The object must belong to the account and the mode of the API key.',
  },
  parameter_missing: {
    ...invalid,
    title: 'A parameter is missing',
    when: 'A parameter that the endpoint needs was not sent; `param` names it.',
    action: 'Send the parameter.',
  },
  parameter_unknown: {
    ...invalid,
    title: 'A parameter is not known',
    when:
      'The endpoint has no parameter of this name, or the parameter stands in the URL of a request that ' +
      'changes something. Unknown parameters are refused, so that a slip never goes unnoticed.',
    action:
      'Check the name for slips, or leave the parameter out. A POST has its parameters in its body.',
  },
  parameter_invalid_empty: {
    ...invalid,
    title: 'A parameter cannot be unset',
    when: 'The parameter has an empty value, which means "unset", and this one cannot be unset.',
    action: 'Send a value, or leave the parameter out.',
  },
  parameter_invalid_integer: {
    ...invalid,
    title: 'Not a whole number within the bounds',
    when: 'The value is not a whole number, is out of bounds, or is too large to be exact.',
    action: 'Send a whole number within the bounds that the message names.',
  },
  parameters_exclusive: {
    ...invalid,
    title: 'Two parameters exclude each other',
    when: 'Both parameters were sent, and only one of them may be.',
    action: 'Send one of the two.',
  },
  amount_too_small: {
    ...invalid,
    title: 'The amount is too small',
    when: 'The amount is below the least that can be charged or refunded.',
    action: "Send an amount of at least 1, in the currency's smallest unit.",
  },
  amount_too_large: {
    ...invalid,
    title: 'The amount is too large',
    when:
      'The amount is above 99,999,999, above what was authorised (capture), or above what was not ' +
      'refunded yet (refund).',
    action: 'Send the amount that the message names, or less.',
  },
  email_invalid: {
    ...invalid,
    title: 'Not an email address',
    when: 'The value has no @ between two parts, or has spaces.',
    action: 'Check the address.',
  },
  url_invalid: {
    ...invalid,
    title: 'Not a URL that a buyer can be sent to',
    when: 'The value is not a page (`https://…`) or an app by its own scheme (`myapp://…`).',
    action: 'Send a URL of one of these kinds. The message says what is wrong with this one.',
  },
  card_number_refused: {
    ...invalid,
    title: 'The request holds a card number',
    when: 'A parameter or the URL holds what looks like a card number. It was neither stored nor logged.',
    action:
      'Send the token of a payment method instead, such as `pm_card_visa`. If the number is something ' +
      'else, put a letter in front of it.',
  },
  testmode_charges_only: {
    ...invalid,
    title: 'Live payments are not possible',
    when: 'The API key is a live one, and this server has no acquirer for live money.',
    action: 'Use an API key that begins with `sk_test_`.',
  },
  card_declined: {
    ...declined,
    title: 'The card was declined',
    when: "The buyer's bank declined the payment. `decline_code` has its reason, where it gave one.",
    action: TRY_ANOTHER_CARD,
  },
  expired_card: {
    ...declined,
    title: 'The card has expired',
    when: "The card's expiry date has passed.",
    action: TRY_ANOTHER_CARD,
  },
  incorrect_cvc: {
    ...declined,
    title: 'The security code is incorrect',
    when: "The card's security code is not the one that the bank has.",
    action:
      'Ask the buyer to enter the card again. Send the new request with a new `Idempotency-Key`.',
  },
  invalid_card: {
    ...declined,
    title: 'The acquirer does not know the card',
    when: 'The payment method stands for a card that the acquirer does not have.',
    action: TRY_ANOTHER_CARD,
  },
  processing_error: {
    ...declined,
    title: 'The card could not be processed',
    when: 'An error occurred at the bank or on the way to it. No money moved.',
    action: 'Try again in a while, with a new `Idempotency-Key`.',
    retry: 'new key',
  },
  authentication_required: {
    ...declined,
    title: 'The buyer must authenticate',
    when: 'The bank wants the buyer to authenticate, and the buyer was not there (`off_session`).',
    action: 'Confirm the payment again while the buyer is there, with a new `Idempotency-Key`.',
  },
  missing: {
    ...declined,
    title: 'The customer has no card',
    when: 'The charge names a customer who has no card, and no `source`.',
    action: 'Attach a payment method to the customer, or send `source`.',
  },
  capture_refused: {
    ...declined,
    title: 'The acquirer refused the capture',
    when: 'The acquirer has no open authorisation of at least this amount.',
    action: 'Retrieve the payment and see what it holds. Take a new payment if it holds nothing.',
  },
  cancel_refused: {
    ...invalid,
    title: 'The acquirer refused the cancellation',
    when: 'The acquirer has no open authorisation to release.',
    action: 'Retrieve the payment and see what became of it.',
  },
  payment_intent_unexpected_state: {
    ...invalid,
    title: 'Not possible in the status of the payment',
    when:
      'The payment intent has a status in which this cannot be done, or has no payment method. The ' +
      'message names the status, and `payment_intent` is the payment as it is now.',
    action:
      'Do what the status allows. Where another request on the payment is not finished, repeat that ' +
      'request with its own key; then send this one with a new key.',
    retry: 'new key',
  },
  payment_intent_invalid_parameter: {
    ...invalid,
    title: 'A payment of this kind is not offered',
    when: '`payment_method_types` does not name `card`, and this server takes cards alone.',
    action: 'Name `card` too, or leave the parameter out.',
  },
  payment_method_unexpected_state: {
    ...invalid,
    title: 'The payment method belongs elsewhere',
    when:
      'The payment method is attached to another customer, or is not attached to the one it should be ' +
      'attached to.',
    action: 'Name the customer it belongs to, or attach or detach it first.',
  },
  charge_invalid_parameter: {
    ...invalid,
    title: 'Not possible on this charge',
    when: 'The charge belongs to a payment intent, which is to be captured instead, or to another customer.',
    action: 'Capture the payment intent that the message names, or leave the customer as it is.',
  },
  charge_pending: {
    ...invalid,
    title: 'Another request on the charge is not finished',
    when: 'The charge is pending: an earlier request on it has no outcome yet.',
    action: 'Repeat that request with its own key. Then send this one with a new key.',
    retry: 'new key',
  },
  capture_unauthorized_payment: {
    ...invalid,
    title: 'There is nothing to capture',
    when: 'The charge failed.',
    action: 'Take a new payment.',
  },
  charge_already_captured: {
    ...invalid,
    title: 'The charge was captured before',
    when: 'The charge was captured, with this request or another.',
    action: 'There is nothing left to do. Retrieve the charge to see the amount.',
  },
  charge_already_refunded: {
    ...invalid,
    title: 'The charge was refunded before',
    when: 'All of the charge was paid back, or what it held was released.',
    action: 'There is nothing left to do. List the refunds of the charge to see them.',
  },
  charge_not_refundable: {
    ...invalid,
    title: 'The charge cannot be refunded',
    when: 'The charge failed, or it was not captured and only a part of it is to be refunded.',
    action:
      'Refund all of it, or capture less or cancel the payment intent instead, as the message says.',
  },
  status_transition_invalid: {
    ...invalid,
    title: 'The refund cannot be canceled',
    when: 'Only a refund with the status `requires_action` can be canceled.',
    action: 'Retrieve the refund to see what became of it.',
  },
} as const satisfies Readonly<
  Record<IdempotencyErrorCode, ErrorEntry> & Record<string, ErrorEntry>
>;

/** A code that the table explains. */
export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * Makes `doc_url`: the URL at which a code or a type of the tables is explained; undefined where there
 * is none.
 */
export type ErrorLink = (name: string) => string | undefined;

/** For an application without such a page. */
export const noErrorLink: ErrorLink = () => undefined;

/** What `retry` means, in a sentence. */
export const RETRIES: Readonly<Record<Retry, string>> = {
  no: 'No: the same request gets the same error.',
  'same key': 'Yes: the same request, with the same `Idempotency-Key` if it had one.',
  'new key':
    'Yes, with a new `Idempotency-Key`: under the same key the stored error is sent again.',
};
