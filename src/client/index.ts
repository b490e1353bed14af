/** A `fetch` that makes any request safe to retry: see `createRetryingFetch`. */
export { createRetryingFetch, retryingFetch } from './retrying-fetch';
export { callReport, RetryError } from './retry.errors';
export type { CallReport, GiveUpReason, RetryErrorDetails } from './retry.errors';
export type {
  BreakerOptions,
  BudgetOptions,
  Fetch,
  RetryEvent,
  RetryOptions,
  RetryReason,
} from './retry.options';
/** A client of a paidonce server on top of it: see `createClient`. */
export { responseReport, createClient } from './api-client';
export type {
  CallOptions,
  Charge,
  Client,
  ClientOptions,
  Customer,
  IdempotencyKey,
  PaymentIntent,
  PaymentMethod,
  Refund,
  WriteOptions,
} from './api-client';
export { ApiError, type ResponseReport } from './api.errors';
export { ApiList, type Page, type PageParams } from './api-list';
export type { components, paths } from './openapi.types';
