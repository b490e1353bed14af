/** Errors of the idempotency module in Stripe's format. */
import {
  type ErrorResponse,
  IdempotencyKeyReusedError,
  type HttpRequest,
  type IdempotencyError,
} from '../../idempotency';
import { ApiError } from './api.errors';
import { type ApiErrorType, type ErrorLink, noErrorLink } from './error-table';

/**
 * The status of a reused key: `auto` is 400 for a client that sends Stripe-Version, whose SDK maps
 * 400 to its own idempotency error, and 409 for any other.
 */
export type ReusedStatus = 'auto' | 400 | 409 | 422;

/** The format of idempotency errors on /v1. */
export interface IdempotencyErrorOptions {
  /** Default `auto`. */
  readonly reusedStatus?: ReusedStatus;
  /** Default: no link. */
  readonly errorLink?: ErrorLink;
}

/** An error of the idempotency module as a response, ready to be sent. */
export function idempotencyErrorResponse(
  error: IdempotencyError,
  request: Pick<HttpRequest, 'headers'>,
  { reusedStatus = 'auto', errorLink = noErrorLink }: IdempotencyErrorOptions = {},
): ErrorResponse {
  const apiError = idempotencyApiError(error, request, reusedStatus);
  return {
    status: apiError.status,
    headers: { ...apiError.headers, 'content-type': 'application/json; charset=utf-8' },
    body: Buffer.from(JSON.stringify(apiError.toWire(errorLink))),
  };
}

/** An error of the idempotency module as an `ApiError`. */
export function idempotencyApiError(
  error: IdempotencyError,
  request: Pick<HttpRequest, 'headers'>,
  reusedStatus: ReusedStatus,
): ApiError {
  const isReused = error instanceof IdempotencyKeyReusedError;
  const auto = request.headers['stripe-version'] === undefined ? 409 : 400;
  const status = isReused ? (reusedStatus === 'auto' ? auto : reusedStatus) : error.status;
  const headers = {
    'stripe-should-retry': String(error.retryable),
    ...(error.retryAfter === undefined ? {} : { 'retry-after': String(error.retryAfter) }),
  };
  return new ApiError(status, typeOf(error), error.message, {
    details: { code: error.code },
    headers,
  });
}

function typeOf(error: IdempotencyError): ApiErrorType {
  if (error instanceof IdempotencyKeyReusedError) return 'idempotency_error';
  return error.status >= 500 ? 'api_error' : 'invalid_request_error';
}
