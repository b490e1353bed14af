/** The errors that a client of an idempotent endpoint can get: typed, with a message that says what to do. */

/** The codes of this module's errors; each is explained in docs/ERRORS.md. */
export type IdempotencyErrorCode =
  | 'idempotency_key_missing'
  | 'idempotency_key_invalid'
  | 'idempotency_key_reused'
  | 'idempotency_key_in_use'
  | 'idempotency_body_unreadable'
  | 'idempotency_store_unavailable'
  | 'idempotency_outcome_unknown'
  | 'idempotency_commit_failed'
  | 'idempotency_response_unstorable'
  | 'idempotency_scope_missing';

/**
 * The base of this module's errors. The module formats them itself (`formatError`), so an application's
 * exception filters need not know them.
 */
export abstract class IdempotencyError extends Error {
  /** Stable, machine-readable name. */
  abstract readonly code: IdempotencyErrorCode;
  /** HTTP status of draft-ietf-httpapi-idempotency-key-header-07 and RFC 9110. */
  abstract readonly status: number;
  /** Whether sending the same request with the same key again may succeed. */
  abstract readonly retryable: boolean;
  /** `Retry-After`, in seconds; only where waiting helps. */
  readonly retryAfter?: number | undefined;
  /** Id of the request that first used the key, where it is known (R7, R17). */
  readonly originalRequest?: string | undefined;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** R2: the endpoint requires a key, and the request has none. `cause` is what its `key` function threw. */
export class IdempotencyKeyMissingError extends IdempotencyError {
  readonly code = 'idempotency_key_missing';
  readonly status = 400;
  readonly retryable = false;

  /** @param message where the key is not taken from the header */
  constructor(
    message = 'This request needs an Idempotency-Key header, so that sending it again can never repeat its ' +
      'effect. Make a new key (a UUID, say) for each operation and send the same one with every retry.',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** R1, R23: the header is there, but its value is not accepted as a key. */
export class IdempotencyKeyInvalidError extends IdempotencyError {
  readonly code = 'idempotency_key_invalid';
  readonly status = 400;
  readonly retryable = false;
}

/** R7: the key was used for another request. Nothing was executed. */
export class IdempotencyKeyReusedError extends IdempotencyError {
  readonly code = 'idempotency_key_reused';
  readonly status = 422;
  readonly retryable = false;

  /**
   * @param differing names of what differs; never a value
   * @param firstOperation HTTP method and route of the first request
   * @param originalRequest id of the first request
   */
  constructor(
    differing: readonly string[],
    firstOperation: string,
    override readonly originalRequest: string,
  ) {
    super(
      `This Idempotency-Key was first used for ${firstOperation} (request ${originalRequest}) and ` +
        `this request differs from it in: ${differing.join(', ')}. Nothing was done. ` +
        'Send the first request unchanged, or use a new key for a new operation.',
    );
  }
}

/** R8: another request with this key is running. */
export class IdempotencyKeyInUseError extends IdempotencyError {
  readonly code = 'idempotency_key_in_use';
  readonly status = 409;
  readonly retryable = true;
  override readonly retryAfter = 1;

  constructor(override readonly originalRequest?: string) {
    super(
      'Another request with this Idempotency-Key is still running. Send the same request again ' +
        'shortly, or send it with "Prefer: wait=10" to get its response.',
    );
  }
}

/** R7a: the body cannot be compared with another's, or could not be sent again. Nothing was executed. */
export class IdempotencyBodyUnreadableError extends IdempotencyError {
  readonly code = 'idempotency_body_unreadable';
  readonly status = 415;
  readonly retryable = false;

  /**
   * @param reason a sentence
   * @param action a sentence for the endpoint's developer
   */
  constructor(reason: string, action: string, options?: ErrorOptions) {
    super(
      `${reason} So it could not be told from another one, and nothing was done. ${action}`,
      options,
    );
  }
}

/** The database could not be reached, or the request failed and may succeed later. Nothing of it is left. */
export class IdempotencyStoreUnavailableError extends IdempotencyError {
  readonly code = 'idempotency_store_unavailable';
  readonly status = 503;
  readonly retryable = true;
  override readonly retryAfter = 1;

  /** @param what happened, in a sentence */
  constructor(
    options?: ErrorOptions,
    what = 'The database could not take this request now, and nothing was done.',
  ) {
    super(`${what} Send the same request again with the same Idempotency-Key.`, options);
  }
}

/** R12, R21: the request may have taken effect. A retry with the same key finds out. */
export class IdempotencyOutcomeUnknownError extends IdempotencyError {
  readonly code = 'idempotency_outcome_unknown';
  readonly status = 503;
  readonly retryable = true;
  override readonly retryAfter = 1;

  constructor(options?: ErrorOptions) {
    super(
      'The outcome of this request is not known yet: it may or may not have taken effect. Send the ' +
        'same request again with the same Idempotency-Key; it will not be done twice.',
      options,
    );
  }
}

/** The handler's transaction was rolled back at COMMIT, such as by a deferred constraint. */
export class IdempotencyCommitFailedError extends IdempotencyError {
  readonly code = 'idempotency_commit_failed';
  readonly status = 500;
  readonly retryable = true;

  constructor(options?: ErrorOptions) {
    super('The request could not be completed and everything it did was rolled back.', options);
  }
}

/** R16: the handler's response cannot be stored and replayed, such as a stream. */
export class IdempotencyResponseUnstorableError extends IdempotencyError {
  readonly code = 'idempotency_response_unstorable';
  readonly status = 500;
  readonly retryable = false;

  /** @param what the response is, such as `a stream` */
  constructor(what: string) {
    super(
      `The response of this endpoint cannot be stored for a replay (${what}); it was rolled back.`,
    );
  }
}

/** R3: the scope resolver found no authenticated account on the request. */
export class IdempotencyScopeMissingError extends IdempotencyError {
  readonly code = 'idempotency_scope_missing';
  readonly status = 500;
  readonly retryable = false;

  constructor() {
    super(
      'The scope resolver found no authenticated account on this request. An @Idempotent() ' +
        'endpoint must stand behind a guard that sets what the resolver reads.',
    );
  }
}
