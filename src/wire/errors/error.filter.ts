/** The one place where an error becomes an answer of the API. */
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

/** Answers every error in the envelope `{"error": {…}}`, and nothing that is not for the caller. */
@Catch()
export class WireErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger(WireErrorFilter.name);

  /**
   * @param errorLink what `doc_url` is made by
   * @param reusedStatus status of a reused idempotency key, see `idempotencyErrorResponse`
   */
  constructor(
    private readonly errorLink: ErrorLink = noErrorLink,
    private readonly reusedStatus: ReusedStatus = 'auto',
  ) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const answer = this.toApiError(error, request);
    // Of its own errors the idempotency module tells the operator itself, with their causes.
    const told = error instanceof IdempotencyError;
    if (answer.status >= 500 && !told) this.log(error, request);
    if (reply.sent) return;
    void reply
      .code(answer.status)
      .headers(answer.headers)
      .header('content-type', 'application/json; charset=utf-8')
      .send(JSON.stringify(answer.toWire(this.errorLink)));
  }

  private toApiError(error: unknown, request: FastifyRequest): ApiError {
    if (error instanceof ApiError) return error;
    if (clientLeft(request)) return new InvalidRequestError('This request did not arrive in full.');
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

  /** Errors of the framework, in our words: its own name no parameter and tell nobody what to do. */
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
      // Nobody's mistake in this program, so where it was thrown tells nothing.
      this.logger.warn(`${what} lost the database: ${excerpt((error as Error).message)}`);
      return;
    }
    this.logger.error(what, error instanceof Error ? error.stack : excerpt(error));
  }
}

/** Whether it was the client's connection that broke, and not one of ours: nobody reads the answer. */
function clientLeft({ raw }: FastifyRequest): boolean {
  return raw.errored !== null && !raw.complete;
}

/** Fastify marks the requests it refuses itself with a status below 500. */
function clientErrorStatus(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
  const fastify = typeof code === 'string' && code.startsWith('FST_');
  return fastify && typeof statusCode === 'number' && statusCode < 500 ? statusCode : undefined;
}

/** `payment_intents` → `payment_intent`: tables are named after the objects in them. */
function objectIn(table: string): string {
  return table.replace(/s$/, '');
}
