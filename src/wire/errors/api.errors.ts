/**
 * Errors as Stripe's API has them (https://docs.stripe.com/api/errors). Throw one anywhere below a
 * controller: the filter turns it into `{"error": {…}}`. A message is for people and says what to
 * do; it never repeats a secret.
 */

import { type ApiErrorType, ERROR_CODES, type ErrorLink } from './error-table';
import type { ApiErrorDetails, WireError } from './error.wire';

export interface ApiErrorOptions extends ErrorOptions {
  /** Headers of the answer, e.g. `Retry-After`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The base of every error that is an answer of the API. */
export class ApiError extends Error {
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly status: number,
    readonly type: ApiErrorType,
    message: string,
    readonly details: ApiErrorDetails = {},
    options: ApiErrorOptions = {},
  ) {
    super(message, options);
    this.name = new.target.name;
    this.headers = options.headers ?? {};
  }

  get code(): ApiErrorDetails['code'] {
    return this.details.code;
  }

  get param(): string | undefined {
    return this.details.param;
  }

  /** The body, with a link to what explains the code, or the type where there is no code (R24). */
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
    super(status, 'invalid_request_error', message, details);
  }
}

/**
 * An id that names nothing the caller can see: 404 where it stands in the path, 400 with the
 * parameter's name where another object refers to it.
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
    super(402, 'card_error', message, details);
  }
}

/** 401: no API key, or one that is not valid. */
export class AuthenticationError extends ApiError {
  constructor(message: string, details: ApiErrorDetails = {}) {
    super(401, 'invalid_request_error', message, details, {
      headers: { 'WWW-Authenticate': 'Basic realm="paidonce"' },
    });
  }
}

/** 403: the API key is valid, but this is not for it. */
export class PermissionError extends ApiError {
  constructor(message: string, details: ApiErrorDetails = {}) {
    super(403, 'invalid_request_error', message, details);
  }
}

/** 429: too many at once; the same request succeeds later. */
export class RateLimitError extends ApiError {
  /** @param retryAfter seconds */
  constructor(message: string, retryAfter: number) {
    const headers = { 'Retry-After': String(retryAfter), 'Stripe-Should-Retry': 'true' };
    super(429, 'rate_limit_error', message, { code: 'rate_limit' }, { headers });
  }
}

/** 409: others are changing the same object at the same moment; nothing was done. */
export class LockTimeoutError extends ApiError {
  /** Never stored under a key (R13): the same request may well succeed. */
  readonly retryable = true;

  constructor() {
    const message =
      'This object is being changed by too many requests at once. Send the request again.';
    const headers = { 'Retry-After': '1', 'Stripe-Should-Retry': 'true' };
    super(409, 'invalid_request_error', message, { code: 'lock_timeout' }, { headers });
  }
}

/** 503: something this server depends on is away; nothing was done. */
export class UnavailableError extends ApiError {
  /** @param retryAfter seconds */
  constructor(message: string, retryAfter = 1, options: ErrorOptions = {}) {
    const headers = { 'Retry-After': String(retryAfter), 'Stripe-Should-Retry': 'true' };
    const details = { code: 'service_unavailable' } as const;
    super(503, 'api_error', message, details, { ...options, headers });
  }
}

/** A caller's value as an error message may repeat it: short, on one line. */
export function excerpt(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  // A megabyte of spaces between letters takes 60 ms to put on one line.
  const line = text.slice(0, 10 * MAX_SHOWN).replaceAll(/\s+/g, ' ');
  const whole = text.length <= 10 * MAX_SHOWN && line.length <= MAX_SHOWN;
  return whole ? line : `${line.slice(0, MAX_SHOWN)}…`;
}

/** Characters of a value. */
const MAX_SHOWN = 100;
