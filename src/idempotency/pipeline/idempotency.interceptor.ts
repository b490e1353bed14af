/**
 * The path of a request, top to bottom: key → decide → run → store → answer. The numbers are the
 * rules of docs/PROTOCOL.md.
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
import {
  asIdempotencyError,
  type Call,
  isSameRequest,
  keptOf,
  keyed,
  refusalOf,
  replayOf,
  reusedBy,
  worthRetrying,
} from './responses';
import { type Attempt, AtomicAttempt, KeylessAttempt } from '../attempts/attempt';
import { decide } from './decision';
import {
  AnswerGate,
  type Exchange,
  type OutgoingAnswer,
  isStream,
  type Sealed,
} from './pending-response';
import { digestsOf, fingerprintOf } from '../request/fingerprint';
import { readKey } from '../request/key-header';
import {
  IdempotencyAnswerUnstorableError,
  IdempotencyError,
  IdempotencyKeyInUseError,
  IdempotencyKeyMissingError,
  IdempotencyOutcomeUnknownError,
  IdempotencyStoreUnavailableError,
} from '../contract/idempotency.errors';
import {
  type Answer,
  type HttpRequest,
  type IdempotentOptions,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
} from '../contract/idempotency.options';
import { idempotentOptionsOf } from '../contract/idempotent.decorator';
import {
  AnsweredByAnother,
  Fenced,
  type FinishedKey,
  type KeyId,
  type KeyRow,
  KeyStore,
  nameOf,
  scopeOf,
  type StoredRequest,
} from '../store/key.store';
import { PhasedAttempt } from '../attempts/phased-attempt';
import { newFence } from '../store/postgres/postgres-key.store';
import { recordRequest, recoveredClaim } from '../request/recorded-request';
import { ReplayCache } from '../replays/replay-cache';
import { CommitInDoubt, type Transaction } from '../store/postgres/transaction';
import { WaitingRoom } from './waiting-room';

/** These never have an effect to repeat (R2). */
const WITHOUT_EFFECT = new Set(['GET', 'HEAD', 'OPTIONS']);
/** How long a commit in doubt is looked into before the client is told to ask again, ms (R21). */
const SETTLE_PATIENCE_MS = 5_000;

/**
 * Of the last looks at the store so many must have found an answer for a plain read to come first.
 * That is so after a restart, when everybody asks again; it halves what a replay costs then, and a new
 * key pays one statement more.
 */
const MOSTLY_REPLAYS = 0.5;
/** How many of the last looks count. */
const LOOKS = 16;

/**
 * For so long copies of a request take this process's word that it is under way here, ms. Past it they
 * ask the database: it may have ended a transaction that this process still believes in.
 */
const WORD_HOLDS_MS = 200;

/** What to do with a call: run it, send what is stored, or leave it to who is running. */
type Verdict =
  | { readonly attempt: Attempt }
  | { readonly replay: FinishedKey }
  | { readonly inUseBy: string | undefined };

@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  readonly #log = new Logger('Idempotency');
  /** Share of the last looks at the store that found an answer. */
  #replayed = 0;
  /** By key: who is looking at it, or running, in this process. */
  readonly #underWay = new Map<
    string,
    { call: Call; sinceMs: number; verdict: Promise<Verdict> }
  >();

  constructor(
    private readonly gate: AnswerGate,
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
      ? opened.then((exchange) => this.handle(http, endpoint, exchange, next))
      : this.handle(http, endpoint, opened, next);
  }

  /** An answer that is kept in this process is given at once; all else waits for the store. */
  private handle(
    http: HttpRequest,
    endpoint: IdempotentOptions,
    exchange: Exchange,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    const requestId = this.options.requestId(http);
    let call: Call | undefined;
    try {
      call = this.read(http, endpoint, requestId);
      const kept = call.id && this.replays.find(call.id);
      if (!kept || kept instanceof Promise) return this.decided(call, kept, exchange, next);
      exchange.answerWith(replayOf(kept, call));
    } catch (error) {
      exchange.answerWith(this.refuse(error, call ?? { http, requestId }));
    }
    return of(undefined); // whatever the rest of the pipeline makes of it, the exchange answers
  }

  /** @param kept what Redis has, if it is asked */
  private async decided(
    call: Call,
    kept: Promise<FinishedKey | undefined> | undefined,
    exchange: Exchange,
    next: CallHandler,
  ): Promise<Observable<unknown>> {
    try {
      const replay = kept && (await kept);
      const verdict = replay ? { replay } : await this.admit(call);
      if ('attempt' in verdict) {
        if (!exchange.left) return this.run(call, verdict.attempt, exchange, next);
        // An interceptor outside of ours ran out of patience, and will not subscribe any more.
        await verdict.attempt.abandon();
        this.freed(call);
        return EMPTY;
      }
      exchange.answerWith(replayOf(verdict.replay, call));
    } catch (error) {
      exchange.answerWith(this.refuse(error, call));
    }
    return of(undefined);
  }

  /** Key, scope and fingerprint, before the handler can touch the body (R1 to R3, R23). */
  private read(http: HttpRequest, endpoint: IdempotentOptions, requestId: string): Call {
    const sent = readKey(http, recoveredClaim() !== undefined);
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

  /** Run, replay or refuse. A duplicate that prefers to wait comes back until it knows (R8). */
  private async admit(call: Call): Promise<{ attempt: Attempt } | { replay: FinishedKey }> {
    const { id } = call;
    if (!id) return { attempt: new KeylessAttempt(await this.store.begin()) };
    const name = nameOf(id);
    const untilMs = performance.now() + this.waitSeconds(call.http) * 1_000;
    for (let looked = false; ; looked = true) {
      let verdict: Verdict | undefined;
      try {
        verdict = await (looked ? this.look(id, call) : this.lookOnce(id, name, call));
      } finally {
        if (!verdict || !('attempt' in verdict)) this.ended(call);
        if (!verdict && looked) this.waiting.left(name);
      }
      if (!('inUseBy' in verdict)) {
        if (looked && 'replay' in verdict) this.waiting.answered(name, verdict.replay);
        else if (looked) this.waiting.left(name);
        return verdict;
      }
      const turn = await this.waiting.turn(name, untilMs, looked);
      if (turn === 'time is up') throw new IdempotencyKeyInUseError(verdict.inUseBy);
      if (turn !== 'look') return { replay: turn.row };
    }
  }

  /** Looks, unless a copy of this request is doing so here, or is running: then it knows (R8). */
  private lookOnce(id: KeyId, name: string, call: Call): Promise<Verdict> {
    if (recoveredClaim() !== undefined) return this.look(id, call);
    const sinceMs = performance.now();
    const other = this.#underWay.get(name);
    const same = other?.call.fingerprint.hash === call.fingerprint.hash;
    if (other && same && sinceMs - other.sinceMs < WORD_HOLDS_MS) {
      return other.verdict.then((verdict) =>
        'attempt' in verdict ? { inUseBy: verdict.attempt.originalRequest } : verdict,
      );
    }
    const verdict = this.look(id, call);
    this.#underWay.set(name, { call, sinceMs, verdict });
    return verdict;
  }

  /** Copies of this call must look for themselves from now on. */
  private ended(call: Call): void {
    const name = call.id && nameOf(call.id);
    if (name !== undefined && this.#underWay.get(name)?.call === call) this.#underWay.delete(name);
  }

  /** One look at the key, in one round trip that also begins the transaction (R4). */
  private async look(id: KeyId, call: Call): Promise<Verdict> {
    const claim = recoveredClaim();
    if (this.#replayed > MOSTLY_REPLAYS && claim === undefined) {
      const finished = await this.store.findFinished(id);
      if (finished) return { replay: this.found(id, finished) };
    }
    const { transaction, locked, row, nowMs } = await this.store.open(id);
    let decision;
    try {
      decision = decide({
        locked,
        row: row && {
          sameRequest: isSameRequest(row, call),
          finished: row.answer !== undefined,
          expired: row.expired,
          leaseExpired: row.leaseExpired,
        },
      });
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
    if (claim !== undefined && (decision === 'run' || row?.claimId !== claim)) {
      // Recovery goes on with a life of a key; only a client may begin one.
      await transaction.rollback();
      return { inUseBy: row?.originalRequest };
    }
    if (decision === 'run') {
      this.#replayed -= this.#replayed / LOOKS;
      const stored = (call.stored = this.storedOf(call, call.requestId));
      call.expiresAtMs = nowMs + stored.ttlSeconds * 1_000;
      return { attempt: this.begin(id, call, stored, transaction, row) };
    }
    if (row && decision === 'take over' && call.endpoint.phased) {
      return this.takeOver(id, call, transaction, row);
    }
    void transaction.rollback(); // nothing was written: the answer need not wait for it
    if (row && decision === 'reused') throw reusedBy(row, call);
    if (row?.answer && decision === 'replay') {
      return { replay: this.found(id, finishedOf(row, row.answer)) };
    }
    return { inUseBy: row?.originalRequest };
  }

  /** The store had an answer. */
  private found(id: KeyId, finished: FinishedKey): FinishedKey {
    this.#replayed += (1 - this.#replayed) / LOOKS;
    this.replays.keep(id, finished);
    return finished;
  }

  /** What is kept of a request that is to run: made before the handler can touch the body. */
  private storedOf(call: Call, originalRequest: string): StoredRequest {
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

  /** A free key, or one whose last life is over (R5). */
  private begin(
    id: KeyId,
    { endpoint }: Call,
    stored: StoredRequest,
    opening: Transaction,
    replaces?: KeyRow,
  ): Attempt {
    const { store, options } = this;
    const fence = newFence();
    if (!endpoint.phased) return new AtomicAttempt(store, opening, id, fence, stored, replaces);
    const beginning = { opening, replaces };
    return new PhasedAttempt(store, id, fence, stored, options.remoteDeadlineMs, beginning);
  }

  /** Goes on where an owner that lost its lease stopped (R11). */
  private async takeOver(id: KeyId, call: Call, tx: Transaction, row: KeyRow): Promise<Verdict> {
    const { store, options } = this;
    const { originalRequest, expiresAt } = row;
    const stored = (call.stored = this.storedOf(call, originalRequest));
    call.expiresAtMs = expiresAt.getTime();
    try {
      const leaseMs = PhasedAttempt.leaseMs(options.remoteDeadlineMs);
      const fence = await store.takeOver(tx, id, row, leaseMs);
      return {
        attempt: new PhasedAttempt(store, id, fence, stored, options.remoteDeadlineMs, row),
      };
    } catch (error) {
      if (error instanceof Fenced) return { inUseBy: originalRequest };
      throw error;
    }
  }

  /** Runs the rest of the pipeline; its answer is sealed on its way out. */
  private run(
    call: Call,
    attempt: Attempt,
    exchange: Exchange,
    next: CallHandler,
  ): Observable<unknown> {
    let ended = false;
    let thrown: unknown;
    if (attempt instanceof PhasedAttempt) exchange.phases = attempt;
    exchange.sealWith(
      (outgoing) =>
        this.seal(call, attempt, outgoing, { entered: exchange.entered, error: thrown }),
      () => attempt.abandon().then(() => this.freed(call)),
    );
    const end = (error?: unknown) => {
      ended = true;
      thrown = error;
      exchange.end();
    };
    const within = <T>(work: () => T): T => exchange.run(() => attempt.run(work));
    const handled = within(() => next.handle());
    return new Observable((subscriber) => {
      let empty = true;
      const fail = (error: unknown) => {
        end(error);
        subscriber.error(error);
      };
      // Within as well: only then does an observable that the handler returns work there.
      within(() => {
        const source = handled.subscribe({
          next: (value) => {
            empty = false;
            if (subscriber.closed) return;
            if (isStream(value)) fail(new IdempotencyAnswerUnstorableError('a stream'));
            else subscriber.next(value);
          },
          error: fail,
          complete: () => {
            if (empty) return fail(new IdempotencyAnswerUnstorableError('an empty observable'));
            end();
            subscriber.complete();
          },
        });
        subscriber.add(source);
      });
      // NestJS sends nothing to a client that is gone, so nothing would be sealed.
      return () => {
        if (!ended) void exchange.giveUp();
      };
    });
  }

  /** The last word on an answer: commit and send it, or send what must be sent instead. */
  private async seal(
    call: Call,
    attempt: Attempt,
    outgoing: OutgoingAnswer,
    end: { entered: boolean; error: unknown },
  ): Promise<Sealed> {
    const kept = keptOf(outgoing, this.options.storedHeaders);
    try {
      const stored = await attempt.seal(outgoing, end, kept);
      if (stored) this.answered(call, attempt, kept);
      else this.freed(call);
      const shouldRetry = !stored && worthRetrying(outgoing.status, end.error);
      return { with: keyed(call, attempt.originalRequest, shouldRetry) };
    } catch (failure) {
      try {
        return await this.unsealed(call, attempt, kept, failure);
      } catch (refusal) {
        this.freed(call);
        return { instead: this.refuse(refusal, call) };
      }
    } finally {
      this.ended(call);
    }
  }

  /** The answer was not stored as it should: find out whose answer stands (R4, R11, R21). */
  private async unsealed(
    call: Call,
    attempt: Attempt,
    kept: Answer,
    failure: unknown,
  ): Promise<Sealed> {
    const { id } = call;
    if (id && (failure instanceof AnsweredByAnother || failure instanceof Fenced)) {
      const { row } = await this.store.read(id);
      if (row?.answer) return { instead: replayOf(finishedOf(row, row.answer), call) };
      throw new IdempotencyKeyInUseError(row?.originalRequest);
    }
    if (!id || !(failure instanceof CommitInDoubt)) throw failure;

    const { outcome, row } = await this.store.settle(id, attempt.fence, SETTLE_PATIENCE_MS);
    if (outcome === 'committed') {
      this.answered(call, attempt, kept);
      return { with: keyed(call, attempt.originalRequest, false) };
    }
    if (row?.answer && !row.expired) {
      return { instead: replayOf(finishedOf(row, row.answer), call) };
    }
    // Rolled back, and no row of ours: nothing happened. With one, the other side may have acted.
    if (outcome === 'rolled back' && (!row || row.expired)) {
      throw new IdempotencyStoreUnavailableError({ cause: failure });
    }
    await this.store.endLease(id, attempt.fence).catch(() => undefined);
    throw new IdempotencyOutcomeUnknownError({ cause: failure });
  }

  /** Duplicates that wait in this process get the answer without asking the database. */
  private answered(call: Call, attempt: Attempt, answer: Answer): void {
    const { id, stored, expiresAtMs } = call;
    if (!id || !stored || expiresAtMs === undefined) return;
    const { operation, fingerprint, parameters } = stored;
    const { originalRequest } = attempt;
    const finished = { operation, fingerprint, parameters, originalRequest, answer, expiresAtMs };
    this.replays.keep(id, finished);
    this.waiting.answered(nameOf(id), finished);
  }

  private freed(call: Call): void {
    this.ended(call);
    if (call.id) this.waiting.freed(nameOf(call.id));
  }

  /** An error of this module as its answer; the operator reads why in the log. */
  private refuse(failure: unknown, request: Pick<Call, 'http' | 'requestId'>): Answer {
    const error = asIdempotencyError(failure);
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
function finishedOf(row: KeyRow, answer: Answer): FinishedKey {
  const { operation, fingerprint, parameters, originalRequest, expiresAt } = row;
  const expiresAtMs = expiresAt.getTime();
  return { operation, fingerprint, parameters, originalRequest, answer, expiresAtMs };
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
