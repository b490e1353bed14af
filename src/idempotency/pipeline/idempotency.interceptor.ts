/**
 * pipeline/: the path of a request, top to bottom: read the key → admit → run → finish. The interceptor
 * leads; beside it stand the decision, the waiting room, the responses, and the pending response with one
 * file for each HTTP adapter. The numbers are the rules of docs/PROTOCOL.md.
 */
import { randomUUID } from 'node:crypto';
import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  Logger,
  type NestInterceptor,
} from '@nestjs/common';
import { EMPTY, Observable, of } from 'rxjs';
import { AtomicAttempt } from '../attempts/atomic-attempt';
import type { Attempt, HandlerEnd } from '../attempts/attempt';
import { KeylessAttempt } from '../attempts/keyless-attempt';
import { isStream, type OutgoingResponse } from '../attempts/outgoing-response';
import { PhasedAttempt } from '../attempts/phased-attempt';
import { runInHandlerContext } from '../contract/handler-context';
import {
  IdempotencyError,
  IdempotencyKeyInUseError,
  IdempotencyKeyMissingError,
  IdempotencyOutcomeUnknownError,
  IdempotencyResponseUnstorableError,
  IdempotencyStoreUnavailableError,
} from '../contract/idempotency.errors';
import {
  type ErrorResponse,
  type HttpRequest,
  type IdempotentOptions,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
  type StoredResponse,
} from '../contract/idempotency.options';
import { idempotentOptionsOf } from '../contract/idempotent.decorator';
import { ReplayCache } from '../replays/replay-cache';
import { digestsOf, fingerprintOf } from '../request/fingerprint';
import { readKey } from '../request/key-header';
import { recordRequest, claimBeingRecovered } from '../request/recorded-request';
import { scopeOf } from '../request/scope';
import { newFence } from '../store/fence';
import {
  type FinishedKey,
  type KeyId,
  keyNameOf,
  type KeyRow,
  KeyStore,
  type StoredRequest,
} from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { CommitInDoubtError, KeyAlreadyFinishedError, LeaseLostError } from '../store/store.errors';
import { decide } from './decision';
import type { FinalResponse, PendingResponse } from './pending-response';
import { ResponseGate } from './response-gate';
import {
  asIdempotencyError,
  type IdempotentCall,
  isSameRequest,
  isWorthRetrying,
  keyHeaders,
  keyReusedError,
  refusalOf,
  replayOf,
  storedResponseOf,
} from './responses';
import { WaitingRoom } from './waiting-room';

/** Methods that have no effect to repeat (R2). */
const WITHOUT_EFFECT = new Set(['GET', 'HEAD', 'OPTIONS']);
/** How long the server tries to resolve a commit in doubt before it tells the client to retry, ms (R21). */
const RESOLVE_IN_DOUBT_TIMEOUT_MS = 5_000;

/**
 * When at least this share of the recent reads found a finished key, a plain SELECT is tried before a
 * transaction is opened. So it is after a restart, when all clients retry. It halves the cost of a replay;
 * a new key pays one statement more.
 */
const PLAIN_READ_MIN_HIT_RATE = 0.5;
/** How many recent reads count. */
const HIT_RATE_WINDOW = 16;

/**
 * For this long (ms), copies of an in-flight request reuse its result. Past it they ask the database: it
 * may have ended a transaction that this process still takes for open.
 */
const IN_FLIGHT_TRUST_MS = 200;

/** What to do with a call: run it, replay what is stored, or leave it to the request that runs. */
type Verdict =
  | { readonly attempt: Attempt }
  | { readonly replay: FinishedKey }
  | { readonly inUseBy: string | undefined };

@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  readonly #log = new Logger('Idempotency');
  /** Share of the recent reads of the store that found a finished key. */
  #hitRate = 0;
  /** By key: the request of this process that is deciding or running. */
  readonly #inFlight = new Map<
    string,
    { call: IdempotentCall; sinceMs: number; verdict: Promise<Verdict> }
  >();

  constructor(
    private readonly gate: ResponseGate,
    @Inject(KeyStore) private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    private readonly waiting: WaitingRoom<FinishedKey>,
    private readonly replays: ReplayCache,
  ) {}

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    const endpoint = idempotentOptionsOf(context.getHandler());
    const http = context.switchToHttp().getRequest<HttpRequest>();
    if (!endpoint || WITHOUT_EFFECT.has(http.method)) return next.handle();

    const opened = this.gate.open(http, context.switchToHttp().getResponse<object>());
    return opened instanceof Promise
      ? opened.then((pending) => this.handle(http, endpoint, pending, next))
      : this.handle(http, endpoint, opened, next);
  }

  /** What this process has in memory is replayed at once. The rest asks Redis, where there is one, and the store. */
  private handle(
    http: HttpRequest,
    endpoint: IdempotentOptions,
    pending: PendingResponse,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    const requestId = this.options.requestId(http);
    let call: IdempotentCall | undefined;
    try {
      call = this.read(http, endpoint, requestId);
      const cached = call.id && this.replays.find(call.id);
      if (!cached || cached instanceof Promise)
        return this.admitThenRun(call, cached, pending, next);
      pending.replaceWith(replayOf(cached, call));
    } catch (error) {
      pending.replaceWith(this.refuse(error, call ?? { http, requestId }));
    }
    return of(undefined); // whatever the rest of the pipeline makes of it: the response is replaced
  }

  /** @param cached what Redis has, where there is one */
  private async admitThenRun(
    call: IdempotentCall,
    cached: Promise<FinishedKey | undefined> | undefined,
    pending: PendingResponse,
    next: CallHandler,
  ): Promise<Observable<unknown>> {
    try {
      const replay = cached && (await cached);
      const verdict = replay ? { replay } : await this.admit(call);
      if ('attempt' in verdict) {
        if (!pending.finished) return this.run(call, verdict.attempt, pending, next);
        // An interceptor outside of this one has responded meanwhile, and will not subscribe any more.
        await verdict.attempt.giveUp();
        this.wakeWaiters(call);
        return EMPTY;
      }
      pending.replaceWith(replayOf(verdict.replay, call));
    } catch (error) {
      pending.replaceWith(this.refuse(error, call));
    }
    return of(undefined);
  }

  /** Key, scope and fingerprint, before the handler can touch the body (R1 to R3, R23). */
  private read(http: HttpRequest, endpoint: IdempotentOptions, requestId: string): IdempotentCall {
    const sent = readKey(http, claimBeingRecovered() !== undefined);
    const { keyRequired } = this.options;
    const required = keyRequired === 'by-endpoint' ? endpoint.required : keyRequired === 'always';
    if (sent === undefined && required) throw new IdempotencyKeyMissingError();
    const scope = scopeOf(http, this.options);
    // A phased operation without a key gets one, so that a crash is recovered all the same.
    const key = sent ?? (endpoint.phased ? `server-made-${randomUUID()}` : undefined);
    return {
      id: key === undefined ? undefined : { account: scope.account, mode: scope.mode, key },
      endpoint,
      http,
      requestId,
      operation: operationOf(http),
      fingerprint: fingerprintOf(http, endpoint.headers),
    };
  }

  /** Run, replay or refuse. A copy that prefers to wait does so here, up to its bound (R8). */
  private async admit(
    call: IdempotentCall,
  ): Promise<{ attempt: Attempt } | { replay: FinishedKey }> {
    const { id } = call;
    if (!id) return { attempt: new KeylessAttempt(this.store, await this.store.begin()) };
    const name = keyNameOf(id);
    const untilMs = performance.now() + this.waitSeconds(call.http) * 1_000;
    for (let hadTurn = false; ; hadTurn = true) {
      let verdict: Verdict | undefined;
      try {
        verdict = await (hadTurn
          ? this.readAndDecide(id, call)
          : this.readAndDecideOnce(id, name, call));
      } finally {
        if (!verdict || !('attempt' in verdict)) this.clearInFlight(call);
        if (!verdict && hadTurn) this.waiting.passTurn(name);
      }
      if (!('inUseBy' in verdict)) {
        if (hadTurn && 'replay' in verdict) this.waiting.notifyWaiters(name, verdict.replay);
        else if (hadTurn) this.waiting.passTurn(name);
        return verdict;
      }
      const turn = await this.waiting.waitForTurn(name, untilMs, hadTurn);
      if (turn === 'time is up') throw new IdempotencyKeyInUseError(verdict.inUseBy);
      if (turn !== 'read') return { replay: turn.row };
    }
  }

  /** Single flight: a copy of a request that is in flight in this process reuses its verdict (R8). */
  private readAndDecideOnce(id: KeyId, name: string, call: IdempotentCall): Promise<Verdict> {
    if (claimBeingRecovered() !== undefined) return this.readAndDecide(id, call);
    const sinceMs = performance.now();
    const other = this.#inFlight.get(name);
    const same = other?.call.fingerprint.hash === call.fingerprint.hash;
    if (other && same && sinceMs - other.sinceMs < IN_FLIGHT_TRUST_MS) {
      return other.verdict.then((verdict) =>
        'attempt' in verdict ? { inUseBy: verdict.attempt.originalRequest } : verdict,
      );
    }
    const verdict = this.readAndDecide(id, call);
    this.#inFlight.set(name, { call, sinceMs, verdict });
    return verdict;
  }

  /** From now on copies of this call ask the store themselves. */
  private clearInFlight(call: IdempotentCall): void {
    const name = call.id && keyNameOf(call.id);
    if (name !== undefined && this.#inFlight.get(name)?.call === call) this.#inFlight.delete(name);
  }

  /**
   * Reads the key and decides, in one round trip that also begins the transaction (R4). After many replays
   * a plain read comes first.
   */
  private async readAndDecide(id: KeyId, call: IdempotentCall): Promise<Verdict> {
    const claim = claimBeingRecovered();
    if (this.#hitRate > PLAIN_READ_MIN_HIT_RATE && claim === undefined) {
      const finished = await this.store.findFinished(id);
      if (finished) return { replay: this.recordHit(id, finished) };
    }
    const { transaction, locked, row, nowMs } = await this.store.open(id);
    let decision;
    try {
      decision = decide({
        locked,
        row: row && {
          sameRequest: isSameRequest(row, call),
          finished: row.storedResponse !== undefined,
          expired: row.expired,
          leaseExpired: row.leaseExpired,
        },
      });
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
    if (claim !== undefined && (decision === 'run' || row?.claimId !== claim)) {
      // Recovery continues a life of a key; only a client may begin one.
      await transaction.rollback();
      return { inUseBy: row?.originalRequest };
    }
    if (decision === 'run') {
      this.#hitRate -= this.#hitRate / HIT_RATE_WINDOW;
      const stored = (call.stored = this.storedOf(call, call.requestId));
      call.expiresAtMs = nowMs + stored.ttlSeconds * 1_000;
      return { attempt: this.begin(id, call, stored, { transaction, replaces: row }) };
    }
    if (row && decision === 'take over' && call.endpoint.phased) {
      return this.takeOver(id, call, transaction, row);
    }
    void transaction.rollback(); // nothing was written, so the response need not wait for it
    if (row && decision === 'reused') throw keyReusedError(row, call);
    if (row?.storedResponse && decision === 'replay') {
      return { replay: this.recordHit(id, finishedKeyOf(row, row.storedResponse)) };
    }
    return { inUseBy: row?.originalRequest };
  }

  /** Caches what the store had, and counts it. */
  private recordHit(id: KeyId, finished: FinishedKey): FinishedKey {
    this.#hitRate += (1 - this.#hitRate) / HIT_RATE_WINDOW;
    this.replays.add(id, finished);
    return finished;
  }

  /** Makes the stored part of a request before the handler can change the body. */
  private storedOf(call: IdempotentCall, originalRequest: string): StoredRequest {
    const { http, endpoint, operation, fingerprint } = call;
    return {
      operation,
      fingerprint,
      parameters: digestsOf(http, endpoint.headers),
      originalRequest,
      ttlSeconds: endpoint.ttl ?? this.options.ttlSeconds,
      recorded: endpoint.phased ? recordRequest(http, endpoint.headers) : undefined,
    };
  }

  /** Begins on a free key, or on one whose last life is over (R5). */
  private begin(
    id: KeyId,
    { endpoint }: IdempotentCall,
    request: StoredRequest,
    opening: { readonly transaction: OpenTransaction; readonly replaces: KeyRow | undefined },
  ): Attempt {
    const { store } = this;
    const fence = newFence();
    if (!endpoint.phased) {
      return new AtomicAttempt(store, { ...opening, id, fence, request });
    }
    const from = { opening: opening.transaction, replaces: opening.replaces };
    const deadlineMs = this.options.remoteDeadlineMs;
    return new PhasedAttempt(store, { id, fence, request, deadlineMs, from });
  }

  /** Goes on where an owner that lost its lease stopped (R11). */
  private async takeOver(
    id: KeyId,
    call: IdempotentCall,
    tx: OpenTransaction,
    row: KeyRow,
  ): Promise<Verdict> {
    const { store } = this;
    const { originalRequest, expiresAt } = row;
    const request = (call.stored = this.storedOf(call, originalRequest));
    call.expiresAtMs = expiresAt.getTime();
    try {
      const deadlineMs = this.options.remoteDeadlineMs;
      const fence = await store.takeOver(tx, id, row, PhasedAttempt.leaseMs(deadlineMs));
      return { attempt: new PhasedAttempt(store, { id, fence, request, deadlineMs, from: row }) };
    } catch (error) {
      if (error instanceof LeaseLostError) return { inUseBy: originalRequest };
      throw error;
    }
  }

  /** Runs the rest of the pipeline; the response is finished on its way out. */
  private run(
    call: IdempotentCall,
    attempt: Attempt,
    pending: PendingResponse,
    next: CallHandler,
  ): Observable<unknown> {
    let ended = false;
    let thrown: unknown;
    if (attempt instanceof PhasedAttempt) pending.phases = attempt;
    pending.onFinish(
      (outgoing) =>
        this.finish(call, attempt, outgoing, { entered: pending.entered, error: thrown }),
      () => attempt.giveUp().then(() => this.wakeWaiters(call)),
    );
    const end = (error?: unknown) => {
      ended = true;
      thrown = error;
      pending.endHandler();
    };
    const inContext = <T>(work: () => T): T =>
      runInHandlerContext(pending, () => attempt.run(work));
    const handled = inContext(() => next.handle());
    return new Observable((subscriber) => {
      let empty = true;
      const fail = (error: unknown) => {
        end(error);
        subscriber.error(error);
      };
      // In the context too: an observable that the handler returns does its work when it is subscribed.
      inContext(() => {
        const source = handled.subscribe({
          next: (value) => {
            empty = false;
            if (subscriber.closed) return;
            if (isStream(value)) fail(new IdempotencyResponseUnstorableError('a stream'));
            else subscriber.next(value);
          },
          error: fail,
          complete: () => {
            if (empty) return fail(new IdempotencyResponseUnstorableError('an empty observable'));
            end();
            subscriber.complete();
          },
        });
        subscriber.add(source);
      });
      // NestJS sends nothing to a client that disconnected, so nothing would be finished.
      return () => {
        if (!ended) void pending.giveUp();
      };
    });
  }

  /** Commits or rolls back, and decides what is sent: the outgoing response or another (R9, R13). */
  private async finish(
    call: IdempotentCall,
    attempt: Attempt,
    outgoing: OutgoingResponse,
    end: HandlerEnd,
  ): Promise<FinalResponse> {
    const storedResponse = storedResponseOf(outgoing, this.options.storedHeaders);
    try {
      const isStored = await attempt.finishWith(outgoing, end, storedResponse);
      if (isStored) this.cacheAndNotify(call, attempt, storedResponse);
      else this.wakeWaiters(call);
      const shouldRetry = !isStored && isWorthRetrying(outgoing.status, end.error);
      return { with: keyHeaders(call, attempt.originalRequest, shouldRetry) };
    } catch (failure) {
      try {
        return await this.resolveFailedFinish(call, attempt, storedResponse, failure);
      } catch (refusal) {
        this.wakeWaiters(call);
        return { instead: this.refuse(refusal, call) };
      }
    } finally {
      this.clearInFlight(call);
    }
  }

  /** The response could not be stored: finds out which one is (R4, R11, R21). */
  private async resolveFailedFinish(
    call: IdempotentCall,
    attempt: Attempt,
    storedResponse: StoredResponse,
    failure: unknown,
  ): Promise<FinalResponse> {
    const { id } = call;
    if (id && (failure instanceof KeyAlreadyFinishedError || failure instanceof LeaseLostError)) {
      const { row } = await this.store.read(id);
      if (row?.storedResponse) {
        return { instead: replayOf(finishedKeyOf(row, row.storedResponse), call) };
      }
      throw new IdempotencyKeyInUseError(row?.originalRequest);
    }
    if (!id || !(failure instanceof CommitInDoubtError)) throw failure;

    const { outcome, row } = await this.store.resolveInDoubt(
      id,
      attempt.fence,
      RESOLVE_IN_DOUBT_TIMEOUT_MS,
    );
    if (outcome === 'committed') {
      this.cacheAndNotify(call, attempt, storedResponse);
      return { with: keyHeaders(call, attempt.originalRequest, false) };
    }
    if (row?.storedResponse && !row.expired) {
      return { instead: replayOf(finishedKeyOf(row, row.storedResponse), call) };
    }
    // Rolled back, and there is no claim: nothing happened. With a claim the far side may have acted.
    if (outcome === 'rolled back' && (!row || row.expired)) {
      throw new IdempotencyStoreUnavailableError({ cause: failure });
    }
    await this.store.endLease(id, attempt.fence).catch(() => undefined);
    throw new IdempotencyOutcomeUnknownError({ cause: failure });
  }

  /** Caches the stored response and gives it to copies that wait in this process. */
  private cacheAndNotify(
    call: IdempotentCall,
    { originalRequest }: Attempt,
    storedResponse: StoredResponse,
  ): void {
    const { id, stored, expiresAtMs } = call;
    if (!id || !stored || expiresAtMs === undefined) return;
    const { operation, fingerprint, parameters } = stored;
    const finished = {
      operation,
      fingerprint,
      parameters,
      originalRequest,
      storedResponse,
      expiresAtMs,
    };
    this.replays.add(id, finished);
    this.waiting.notifyWaiters(keyNameOf(id), finished);
  }

  /** This attempt stored nothing: lets a copy that waits in this process read the store now. */
  private wakeWaiters(call: IdempotentCall): void {
    this.clearInFlight(call);
    if (call.id) this.waiting.wakeWaiters(keyNameOf(call.id));
  }

  /** The response to a failure, whose causes go to the log where it is the server's. */
  private refuse(
    failure: unknown,
    request: Pick<IdempotentCall, 'http' | 'requestId'>,
  ): ErrorResponse {
    const error = asIdempotencyError(failure, this.store);
    if (error.status >= 500) this.#log.error(`${request.requestId} ${withCauses(error)}`);
    return refusalOf(error, this.options.formatError, request);
  }

  /** Seconds of `Prefer: wait=N` (RFC 7240), bounded; 0 without it. */
  private waitSeconds(http: HttpRequest): number {
    const prefer = String(http.headers['prefer'] ?? '');
    const wait = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])/i.exec(prefer)?.[1];
    return Math.min(Number(wait ?? 0), this.options.maxWaitSeconds);
  }
}

/** What a replay needs of a row. */
function finishedKeyOf(row: KeyRow, storedResponse: StoredResponse): FinishedKey {
  const { operation, fingerprint, parameters, originalRequest, expiresAt } = row;
  const expiresAtMs = expiresAt.getTime();
  return { operation, fingerprint, parameters, originalRequest, storedResponse, expiresAtMs };
}

/** HTTP method and route template. */
function operationOf(http: HttpRequest): string {
  const template = http.routeOptions?.url ?? `${http.baseUrl ?? ''}${http.route?.path ?? ''}`;
  return `${http.method} ${template || (http.url.split('?', 1)[0] ?? '')}`;
}

function withCauses(error: IdempotencyError): string {
  const causes: string[] = [];
  for (let at: unknown = error; at instanceof Error && causes.length < 4; at = at.cause) {
    causes.push(`${at.name}: ${at.message}`);
  }
  return causes.join(' because of ');
}
