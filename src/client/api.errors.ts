/** The error of a response from 400 on, and the report of any response. */
import type { components } from './openapi.types';
import { callReport } from './retry.errors';

type WireError = components['schemas']['Error']['error'];

/** What is known about a response: its request, its key, its attempts. */
export interface ResponseReport {
  /** Id of the request. Give it to support. */
  readonly requestId?: string;
  /** The key of the request; a read has none. */
  readonly idempotencyKey?: string;
  /** The `requestId` of the request that first used the key. */
  readonly originalRequest?: string;
  /** Whether the server sent a stored response: the operation had been carried out before. */
  readonly replayed: boolean;
  /** How often the request was sent until this response came. */
  readonly attempts: number;
}

/**
 * A response with a status from 400 on: the request was refused, or, from 500 on, its retries were given
 * up. Where there was no response, a `RetryError` is thrown instead.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** `card_error` is a decline; `api_error` is the server's fault. */
  readonly type: WireError['type'];
  /** Stable and machine-readable, e.g. `resource_missing`. */
  readonly code?: string;
  /** Why the card was declined, where the bank said so, e.g. `insufficient_funds`. */
  readonly declineCode?: string;
  /** The parameter that is to blame, e.g. `amount`. */
  readonly param?: string;
  /** Id of the charge that failed. */
  readonly charge?: string;
  /** The payment after a decline, or the payment whose status does not allow the request. */
  readonly paymentIntent?: components['schemas']['PaymentIntent'];
  readonly report: ResponseReport;
  /** Whether the request may have been carried out all the same: ask again with the same key. */
  readonly mayHaveExecuted: boolean;

  constructor(
    /** HTTP status. */
    readonly status: number,
    response: Response,
    body: unknown,
  ) {
    const error = errorIn(body);
    super(error?.message ?? `The response (HTTP ${status}) has no error of this API in it.`);
    this.type = error?.type ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
    this.code = error?.code;
    this.declineCode = error?.decline_code;
    this.param = error?.param;
    this.charge = error?.charge;
    this.paymentIntent = error?.payment_intent;
    this.report = reportOf(response);
    this.mayHaveExecuted = callReport(response)?.gaveUp?.mayHaveExecuted ?? false;
  }

  get requestId(): string | undefined {
    return this.report.requestId;
  }

  get idempotencyKey(): string | undefined {
    return this.report.idempotencyKey;
  }
}

/** The report of a response, from its headers and the retries before it. */
export function reportOf(response: Response): ResponseReport {
  const header = (name: string) => response.headers.get(name) ?? undefined;
  const call = callReport(response);
  return {
    requestId: header('request-id'),
    idempotencyKey: call?.idempotencyKey ?? header('idempotency-key'),
    originalRequest: header('original-request'),
    replayed: header('idempotent-replayed') === 'true',
    attempts: call?.attempts ?? 1,
  };
}

/** The error in a body; a proxy may send any other body. */
function errorIn(body: unknown): WireError | undefined {
  const { error } = Object(body) as { error?: unknown };
  return typeof error === 'object' && error !== null ? (error as WireError) : undefined;
}
