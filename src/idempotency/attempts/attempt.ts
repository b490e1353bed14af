/**
 * attempts/: one execution of a handler for one key, from the decision to run it to the commit of its
 * response. Here is what all kinds share; `atomic-attempt.ts` (R9), `keyless-attempt.ts` (R2) and
 * `phased-attempt.ts` (R10) are the kinds.
 */
import type { Isolation, StoredResponse } from '../contract/idempotency.options';
import type { Phases } from '../contract/phases';
import type { Fence } from '../store/fence';
import type { KeyId, StoredRequest } from '../store/key.store';
import type { AttemptEnd, HandlerEnd } from './outcome';
import type { OutgoingResponse } from './outgoing-response';

/** The life of a key that an attempt is part of. */
export interface KeyLife {
  readonly id: KeyId;
  /** The life and execution: identifies an attempt when its commit is in doubt (R21). */
  readonly fence: Fence;
  readonly request: StoredRequest;
  /** Of each transaction of the handler; the DataSource's or the server's where there is none (R9a). */
  readonly isolation?: Isolation;
  /** Its earliest end, by the database's clock, ms since 1970. */
  readonly expiresAtMs: number;
}

/** A request that was admitted to run. */
export interface Attempt {
  /** Nothing: without a key (R2). */
  readonly life?: KeyLife;
  /** What a phased handler is given. */
  readonly phases?: Phases;
  /** Runs the handler's part of the pipeline. */
  run<T>(work: () => T): T;
  /**
   * The handler failed with `error`: ends the transaction, so that exception filters find it over. The one of
   * `phases.finish()` stays open where `error` is the outcome that it returned (R9b). Never throws.
   */
  handlerFailed(error: unknown): Promise<void>;
  /**
   * Commits or rolls back, as the outgoing response decides.
   *
   * @param storedResponse what of it is stored
   * @returns how it ended; `to be retried`: undone, whatever the response, and another try may succeed
   * @throws LeaseLostError, KeyTakenError, CommitFailedError, CommitInDoubtError where it could
   *   not be stored; an IdempotencyError to send instead
   */
  finishWith(
    outgoing: OutgoingResponse,
    end: HandlerEnd,
    storedResponse: StoredResponse,
  ): Promise<AttemptEnd>;
  /** Rolls back: this attempt's response is never sent. */
  giveUp(): Promise<void>;
}
