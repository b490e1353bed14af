/** Refusals: this module's errors as responses. Their causes go to the log where the fault is the server's. */
import { Inject, Injectable, Logger } from '@nestjs/common';
import {
  IdempotencyCommitFailedError,
  IdempotencyError,
  IdempotencyOutcomeUnknownError,
  IdempotencyStoreUnavailableError,
} from '../contract/idempotency.errors';
import {
  type ErrorResponse,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
} from '../contract/idempotency.options';
import { writeKey } from '../request/key-header';
import { KeyStore } from '../store/key.store';
import { CommitInDoubtError } from '../store/store.errors';
import type { IdempotentCall } from './idempotent-call';

/** A call, or a request that could not be read as one. */
type RefusedRequest = Pick<IdempotentCall, 'http' | 'requestId'> &
  Partial<Pick<IdempotentCall, 'id'>>;

@Injectable()
export class Refusals {
  private readonly log = new Logger('Idempotency');

  constructor(
    private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
  ) {}

  /** The response to a failure of the store, of a commit, or of the request itself (R17). */
  refuse(failure: unknown, { http, requestId, id }: RefusedRequest): ErrorResponse {
    const error = this.toModuleError(failure);
    if (error.status >= 500) this.log.error(`${requestId} ${withCauses(error)}`);
    const { status, headers: formatted, body } = this.options.formatError(error, http);
    const headers: Record<string, string> = {
      ...formatted,
      'request-id': requestId,
      'stripe-should-retry': String(error.retryable),
    };
    if (error.retryAfter !== undefined) headers['retry-after'] = String(error.retryAfter);
    if (error.originalRequest) headers['original-request'] = error.originalRequest;
    if (id) headers['idempotency-key'] = writeKey(id.key);
    return { status, headers, body };
  }

  /** What a failure means to the client. */
  private toModuleError(failure: unknown): IdempotencyError {
    if (failure instanceof IdempotencyError) return failure;
    if (failure instanceof CommitInDoubtError) {
      return new IdempotencyOutcomeUnknownError({ cause: failure });
    }
    return this.store.isWorthRepeating(failure)
      ? new IdempotencyStoreUnavailableError({ cause: failure })
      : new IdempotencyCommitFailedError({ cause: failure });
  }
}

function withCauses(error: IdempotencyError): string {
  const causes: string[] = [];
  for (let at: unknown = error; at instanceof Error && causes.length < 4; at = at.cause) {
    causes.push(`${at.name}: ${at.message}`);
  }
  return causes.join(' because of ');
}
