/**
 * The errors of the API, in Stripe's format (https://docs.stripe.com/api/errors). Throw one anywhere below
 * a controller: the filter turns it into `{"error": {…}}`. A message is for people. It says what to do and
 * never repeats a secret.
 */
import { type ApiErrorType, ERROR_CODES, type ErrorLink } from './error-table';
import type { ApiErrorDetails, WireError } from './error.wire';

export interface ApiErrorOptions extends ErrorOptions {
  readonly details?: ApiErrorDetails;
  /** Headers of the response, e.g. `Retry-After`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The base of every error that becomes a response of the API. */
export class ApiError extends Error {
  readonly details: ApiErrorDetails;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly status: number,
    readonly type: ApiErrorType,
    message: string,
    { details = {}, headers = {}, ...options }: ApiErrorOptions = {},
  ) {
    super(message, options);
    this.name = new.target.name;
    this.details = details;
    this.headers = headers;
  }

  get code(): ApiErrorDetails['code'] {
    return this.details.code;
  }

  get param(): string | undefined {
    return this.details.param;
  }

  /** The body, with a link to the explanation of the code or, without a code, of the type (R24). */
  toWire(linkTo: ErrorLink): WireError {
    const { code, details, message, type } = this;
    const isExplained = code !== undefined && Object.hasOwn(ERROR_CODES, code);
    const doc_url = linkTo(isExplained ? code : type);
    return { error: { ...details, doc_url, message, type } };
  }
}

/** 400: the request is wrong and stays wrong however often it is sent. */
export class InvalidRequestError extends ApiError {
  constructor(message: string, details: ApiErrorDetails = {}, status = 400) {
    super(status, 'invalid_request_error', message, { details });
  }
}

/**
 * An id without an object that the client can see: 404 for an id in the path, 400 with the parameter's
 * name for an id in a parameter.
 *
 * @example throw new ResourceMissingError('customer', id)
 * @example throw new ResourceMissingError('customer', id, 'customer')
 */
export class ResourceMissingError extends InvalidRequestError {
  constructor(object: string, id: string, param?: string) {
    const message = `No such ${object}: '${excerpt(id)}'`;
    super(message, { code: 'resource_missing', param: param ?? 'id' }, param ? 400 : 404);
  }
}

/** 402: the card was declined. */
export class CardError extends ApiError {
  constructor(message: string, details: ApiErrorDetails) {
    super(402, 'card_error', message, { details });
  }
}

/** 401: the API key is missing or not valid. */
export class AuthenticationError extends ApiError {
  constructor(message: string, details: ApiErrorDetails = {}) {
    super(401, 'invalid_request_error', message, {
      details,
      headers: { 'WWW-Authenticate': 'Basic realm="paidonce"' },
    });
  }
}

/** 403: the API key is valid but not allowed to do this. */
export class PermissionError extends ApiError {
  constructor(message: string, details: ApiErrorDetails = {}) {
    super(403, 'invalid_request_error', message, { details });
  }
}

/** 429: too many requests at once. The same request succeeds later. */
export class RateLimitError extends ApiError {
  constructor(message: string, retryAfterSeconds: number) {
    const headers = { 'Retry-After': String(retryAfterSeconds), 'Stripe-Should-Retry': 'true' };
    super(429, 'rate_limit_error', message, { details: { code: 'rate_limit' }, headers });
  }
}

/** 409: other requests are changing the same object at this moment. Nothing was done. */
export class LockTimeoutError extends ApiError {
  /** Never stored under a key (R13): the same request may succeed. */
  readonly retryable = true;

  constructor() {
    const message =
      'This object is being changed by too many requests at once. Send the request again.';
    const headers = { 'Retry-After': '1', 'Stripe-Should-Retry': 'true' };
    super(409, 'invalid_request_error', message, { details: { code: 'lock_timeout' }, headers });
  }
}

/** 503: the server cannot reach something it depends on. Nothing was done. */
export class UnavailableError extends ApiError {
  constructor(message: string, retryAfterSeconds = 1, options: ErrorOptions = {}) {
    const headers = { 'Retry-After': String(retryAfterSeconds), 'Stripe-Should-Retry': 'true' };
    const details = { code: 'service_unavailable' } as const;
    super(503, 'api_error', message, { ...options, details, headers });
  }
}

/** In UTF-16 units. */
const MAX_EXCERPT_LENGTH = 100;

/** A client's value for an error message: its first 100 characters, on one line. */
export function excerpt(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  // Cut first: a megabyte of letters and spaces would take the regular expression 60 ms.
  const line = text.slice(0, 10 * MAX_EXCERPT_LENGTH).replaceAll(/\s+/g, ' ');
  const isWhole = text.length <= 10 * MAX_EXCERPT_LENGTH && line.length <= MAX_EXCERPT_LENGTH;
  return isWhole ? line : `${line.slice(0, MAX_EXCERPT_LENGTH)}…`;
}
