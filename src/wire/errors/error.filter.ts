/**
 * Turns an error that a handler, guard, pipe, hook or body parser threw into a response in Stripe's format.
 * Refusals of the idempotency module, malformed URLs (`server-options.ts`) and errors of the socket do not
 * come here.
 */
import {
  Catch,
  HttpException,
  Logger,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { UnknownCursorError } from '../../database';
import { IdempotencyError, isConnectionLost } from '../../idempotency';
import {
  ApiError,
  InvalidRequestError,
  ResourceMissingError,
  excerpt,
  UnavailableError,
} from './api.errors';
import { type ErrorLink, noErrorLink } from './error-table';
import { idempotencyApiError, type ReusedStatus } from './idempotency-error.wire';

/** Sends every error as `{"error": {…}}`, without anything that is not for the client. */
@Catch()
export class WireErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger(WireErrorFilter.name);

  /**
   * @param errorLink makes `doc_url`
   * @param reusedStatus the status of a reused idempotency key
   */
  constructor(
    private readonly errorLink: ErrorLink = noErrorLink,
    private readonly reusedStatus: ReusedStatus = 'auto',
  ) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const apiError = this.toApiError(error, request);
    // The idempotency module logs its own errors, with their causes.
    const isLogged = error instanceof IdempotencyError;
    if (apiError.status >= 500 && !isLogged) this.log(error, request);
    if (reply.sent) return;
    void reply
      .code(apiError.status)
      .headers(apiError.headers)
      .header('content-type', 'application/json; charset=utf-8')
      .send(JSON.stringify(apiError.toWire(this.errorLink)));
  }

  private toApiError(error: unknown, request: FastifyRequest): ApiError {
    if (error instanceof ApiError) return error;
    if (isClientGone(request))
      return new InvalidRequestError('This request did not arrive in full.');
    if (error instanceof IdempotencyError) {
      return idempotencyApiError(error, request, this.reusedStatus);
    }
    if (error instanceof UnknownCursorError) {
      return new ResourceMissingError(objectIn(error.table), error.cursor, error.parameter);
    }
    if (error instanceof HttpException) {
      return this.fromHttp(error.getStatus(), error.message);
    }
    if (isConnectionLost(error)) {
      return new UnavailableError(
        'The database could not take this request now, and nothing was done. Send the same request ' +
          'again in a moment.',
      );
    }
    const status = clientErrorStatus(error);
    if (status !== undefined) return this.fromHttp(status, (error as Error).message);
    return new ApiError(
      500,
      'api_error',
      `Something went wrong on our side (request ${request.id}). If you send the request again, send ` +
        'it with the same Idempotency-Key.',
    );
  }

  /** Errors of the framework, some with our own message: the framework does not say what to do. */
  private fromHttp(status: number, message: string): ApiError {
    if (status === 413) {
      return new InvalidRequestError(
        'The request body is too large. Send less, or raise BODY_LIMIT_BYTES.',
        {},
        413,
      );
    }
    if (status === 415) {
      return new InvalidRequestError(
        'The Content-Type of this request cannot be read. Send application/x-www-form-urlencoded or ' +
          'application/json.',
        {},
        415,
      );
    }
    return new ApiError(status, status >= 500 ? 'api_error' : 'invalid_request_error', message);
  }

  private log(error: unknown, request: FastifyRequest): void {
    const what = `${request.id} ${request.method} ${request.routeOptions?.url ?? 'unknown route'}`;
    if (isConnectionLost(error) && !(error instanceof ApiError)) {
      // This is not a bug, so the stack would tell nothing.
      this.logger.warn(`${what} lost the database: ${excerpt((error as Error).message)}`);
      return;
    }
    this.logger.error(what, error instanceof Error ? error.stack : excerpt(error));
  }
}

/** Whether the client's connection broke, not one to the database. Nobody reads the response then. */
function isClientGone({ raw }: FastifyRequest): boolean {
  return raw.errored !== null && !raw.complete;
}

/** The status of a request that Fastify itself refuses. */
function clientErrorStatus(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
  const isFastifyError = typeof code === 'string' && code.startsWith('FST_');
  return isFastifyError && typeof statusCode === 'number' && statusCode < 500
    ? statusCode
    : undefined;
}

/** `payment_intents` → `payment_intent`: a table has the plural of its object's name. */
function objectIn(table: string): string {
  return table.replace(/s$/, '');
}
