/** Finishing: commits an attempt's response or rolls back, and decides what is sent (R9, R13, R21). */
import { Inject, Injectable } from '@nestjs/common';
import type { Attempt, KeyLife } from '../attempts/attempt';
import type { HandlerEnd } from '../attempts/outcome';
import type { OutgoingResponse } from '../attempts/outgoing-response';
import {
  IdempotencyKeyInUseError,
  IdempotencyOutcomeUnknownError,
  IdempotencyStoreUnavailableError,
} from '../contract/idempotency.errors';
import {
  RESOLVED_OPTIONS,
  type ResolvedOptions,
  type StoredResponse,
} from '../contract/idempotency.options';
import { ReplayCache } from '../replays/replay-cache';
import { type FinishedKey, finishedKeyOf, keyNameOf, KeyStore } from '../store/key.store';
import { CommitInDoubtError, KeyTakenError, LeaseLostError } from '../store/store.errors';
import type { IdempotentCall } from './idempotent-call';
import { InFlight } from './in-flight';
import { Refusals } from './refusals';
import { isWorthRetrying, keyHeaders, replayOf, storedResponseOf } from './responses';
import { WaitingRoom } from './waiting-room';

/** How long the server tries to resolve a commit in doubt before it tells the client to retry, ms (R21). */
const RESOLVE_IN_DOUBT_TIMEOUT_MS = 5_000;

/** How a response is sent: with more headers, or another one in its place. */
export type FinalResponse =
  { readonly with: Readonly<Record<string, string>> } | { readonly instead: StoredResponse };

/** The response that a handler led to, and how the handler ended. */
export interface HandlerResult {
  readonly outgoing: OutgoingResponse;
  readonly end: HandlerEnd;
}

@Injectable()
export class Finishing {
  constructor(
    private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    private readonly replays: ReplayCache,
    private readonly inFlight: InFlight,
    private readonly waitingRoom: WaitingRoom<FinishedKey>,
    private readonly refusals: Refusals,
  ) {}

  /** Commits or rolls back, and decides what is sent: the outgoing response or another. */
  async finish(
    call: IdempotentCall,
    attempt: Attempt,
    { outgoing, end }: HandlerResult,
  ): Promise<FinalResponse> {
    const storedResponse = storedResponseOf(outgoing, this.options.storedHeaders);
    try {
      const attemptEnd = await attempt.finishWith(outgoing, end, storedResponse);
      if (attemptEnd === 'stored') this.cacheAndNotify(call, attempt, storedResponse);
      else this.wakeWaiters(call);
      const shouldRetry =
        attemptEnd === 'to be retried' ||
        (attemptEnd === 'not stored' && isWorthRetrying(outgoing.status, end.error));
      return { with: keyHeaders(call, attempt.life?.request.originalRequest, shouldRetry) };
    } catch (failure) {
      try {
        const { life } = attempt;
        if (!life) throw failure;
        return await this.resolveFailedFinish(call, attempt, life, { storedResponse, failure });
      } catch (refusal) {
        this.wakeWaiters(call);
        return { instead: this.refusals.refuse(refusal, call) };
      }
    }
  }

  /** Whether the application calls this error an outcome (R13a). Where it throws it does not. */
  isOutcome(error: unknown): boolean {
    try {
      return error !== undefined && this.options.isOutcome(error);
    } catch {
      return false;
    }
  }

  /** Runs what is outside of the handler, but is called by it, on database connections of its own (R9b). */
  outside(work: () => void): void {
    this.store.outsideTransaction(work);
  }

  /** How a response is sent that went out without the attempt, which was given up (R14a). */
  withoutAttempt(call: IdempotentCall, { life }: Attempt): FinalResponse {
    return { with: keyHeaders(call, life?.request.originalRequest, true) };
  }

  /** Ends the attempt without a response of its own. */
  async giveUp(call: IdempotentCall, attempt: Attempt): Promise<void> {
    await attempt.giveUp();
    this.wakeWaiters(call);
  }

  /** The response could not be stored: finds out which one is (R4, R11, R21). */
  private async resolveFailedFinish(
    call: IdempotentCall,
    attempt: Attempt,
    { id, fence, request }: KeyLife,
    { storedResponse, failure }: { storedResponse: StoredResponse; failure: unknown },
  ): Promise<FinalResponse> {
    if (failure instanceof KeyTakenError || failure instanceof LeaseLostError) {
      const { row } = await this.store.read(id);
      const finished = row && finishedKeyOf(row);
      if (!finished) throw new IdempotencyKeyInUseError(row?.originalRequest);
      return this.replayInstead(call, finished);
    }
    if (!(failure instanceof CommitInDoubtError)) throw failure;

    const { outcome, row } = await this.store.resolveInDoubt(
      id,
      fence,
      RESOLVE_IN_DOUBT_TIMEOUT_MS,
    );
    if (outcome === 'committed') {
      failure.whenCommitted();
      this.cacheAndNotify(call, attempt, storedResponse);
      return { with: keyHeaders(call, request.originalRequest, false) };
    }
    const finished = row && !row.expired ? finishedKeyOf(row) : undefined;
    if (finished) return this.replayInstead(call, finished);
    // Rolled back, and there is no claim: nothing happened. With a claim the far side may have acted.
    if (outcome === 'rolled back' && (!row || row.expired)) {
      throw new IdempotencyStoreUnavailableError({ cause: failure });
    }
    await this.store.endLease(id, fence).catch(() => undefined);
    throw new IdempotencyOutcomeUnknownError({ cause: failure });
  }

  /** Another attempt stored its response first: that is the one response of the key. */
  private replayInstead(call: IdempotentCall, finished: FinishedKey): FinalResponse {
    const instead = replayOf(finished, call);
    if (call.id) this.inFlight.clear(keyNameOf(call.id), call);
    return { instead };
  }

  /** Caches the stored response and gives it to copies that wait in this process. */
  private cacheAndNotify(
    call: IdempotentCall,
    { life }: Attempt,
    storedResponse: StoredResponse,
  ): void {
    if (!life) return;
    const { id, expiresAtMs, request } = life;
    const { operation, fingerprint, parameters, originalRequest } = request;
    const finished = {
      operation,
      fingerprint,
      parameters,
      originalRequest,
      storedResponse,
      expiresAtMs,
    };
    const name = keyNameOf(id);
    this.replays.add(id, finished);
    this.inFlight.clear(name, call);
    this.waitingRoom.notifyWaiters(name, finished);
  }

  /** This attempt stored nothing: lets a copy that waits in this process read the store now. */
  private wakeWaiters(call: IdempotentCall): void {
    if (!call.id) return;
    const name = keyNameOf(call.id);
    this.inFlight.clear(name, call);
    this.waitingRoom.wakeWaiters(name);
  }
}
