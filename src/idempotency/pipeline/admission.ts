/** Admission: whether a call runs, gets a stored response, waits for one, or is refused (R4 to R8, R11). */
import { Inject, Injectable } from '@nestjs/common';
import { AttemptFactory } from '../attempts/attempt-factory';
import { IdempotencyKeyInUseError } from '../contract/idempotency.errors';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../contract/idempotency.options';
import { ReplayCache } from '../replays/replay-cache';
import {
  type FinishedKey,
  finishedKeyOf,
  type KeyId,
  keyNameOf,
  type KeyRow,
  KeyStore,
} from '../store/key.store';
import type { OpenTransaction } from '../store/open-transaction';
import { LeaseLostError } from '../store/store.errors';
import { decide, type Decision, type InUse, type Verdict } from './decision';
import type { IdempotentCall } from './idempotent-call';
import { InFlight } from './in-flight';
import { waitSecondsOf } from './prefer-wait';
import { WaitingRoom } from './waiting-room';

/**
 * When at least this share of the recent reads found a finished key, a plain SELECT is tried before a
 * transaction is opened. So it is after a restart, when all clients retry. It halves the cost of a replay;
 * a new key pays one statement more.
 */
const PLAIN_READ_MIN_HIT_RATE = 0.5;
/** How many recent reads count. */
const HIT_RATE_WINDOW = 16;

@Injectable()
export class Admission {
  /** Share of the recent reads of the store that found a finished key. */
  private hitRate = 0;

  constructor(
    private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    private readonly attempts: AttemptFactory,
    private readonly replays: ReplayCache,
    private readonly inFlight: InFlight,
    private readonly waitingRoom: WaitingRoom<FinishedKey>,
  ) {}

  /**
   * Decides on a call. A copy that prefers to wait does so here, up to its bound.
   *
   * @returns no promise for a replay from memory
   * @throws IdempotencyKeyInUseError, IdempotencyKeyReusedError
   */
  admit(call: IdempotentCall): Verdict | Promise<Verdict> {
    const { id } = call;
    if (!id)
      return this.attempts.beginKeyless(call.endpoint.isolation).then((attempt) => ({ attempt }));
    const cached = this.replays.find(id);
    if (!cached) return this.admitByStore(id, call);
    if (!(cached instanceof Promise)) return { replay: cached };
    return cached.then((replay) => (replay ? { replay } : this.admitByStore(id, call)));
  }

  private async admitByStore(id: KeyId, call: IdempotentCall): Promise<Verdict> {
    const name = keyNameOf(id);
    const untilMs =
      performance.now() + waitSecondsOf(call.http, this.options.maxWaitSeconds) * 1_000;
    // Recovery continues one life of the key only, so it shares no verdict with other requests.
    const verdict = await (call.recovers === undefined
      ? this.inFlight.decideOnce(name, call, () => this.readAndDecide(id, call))
      : this.readAndDecide(id, call));
    return 'inUseBy' in verdict ? this.wait(id, call, untilMs, verdict) : verdict;
  }

  /** Waits for the request that runs, and reads the store when it is this call's turn (R8). */
  private async wait(
    id: KeyId,
    call: IdempotentCall,
    untilMs: number,
    found: InUse,
  ): Promise<Verdict> {
    const name = keyNameOf(id);
    let verdict: Verdict | InUse = found;
    for (let hadTurn = false; 'inUseBy' in verdict; hadTurn = true) {
      const turn = await this.waitingRoom.waitForTurn(name, untilMs, hadTurn);
      if (turn === 'time is up') throw new IdempotencyKeyInUseError(verdict.inUseBy);
      if (turn !== 'read') return { replay: turn.row };
      try {
        verdict = await this.readAndDecide(id, call);
      } catch (error) {
        this.waitingRoom.passTurn(name);
        throw error;
      }
    }
    if ('replay' in verdict) this.waitingRoom.notifyWaiters(name, verdict.replay);
    else this.waitingRoom.passTurn(name);
    return verdict;
  }

  /**
   * Reads the key and decides, in one round trip that also begins the transaction (R4). After many replays
   * a plain read comes first.
   */
  private async readAndDecide(id: KeyId, call: IdempotentCall): Promise<Verdict | InUse> {
    if (this.hitRate > PLAIN_READ_MIN_HIT_RATE && call.recovers === undefined) {
      const finished = await this.store.findFinished(id);
      if (finished) return this.recordHit(id, finished);
    }
    const { isolation } = call.endpoint;
    const opened = await this.store.open(id, isolation);
    const { transaction, row } = opened;
    let decision: Decision;
    try {
      decision = decide({
        locked: opened.locked,
        row: row && {
          sameRequest: call.isSameAs(row),
          finished: row.storedResponse !== undefined,
          expired: row.expired,
          leaseExpired: row.leaseExpired,
        },
      });
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
    const { recovers } = call;
    if (recovers !== undefined && (decision === 'run' || row?.claimId !== recovers)) {
      // Recovery continues a life of a key; only a client may begin one.
      await transaction.rollback();
      return { inUseBy: row?.originalRequest };
    }
    if (decision === 'run') {
      // On a free key, or on one whose last life is over (R5).
      this.hitRate -= this.hitRate / HIT_RATE_WINDOW;
      const request = call.toStored(this.options.ttlSeconds);
      const expiresAtMs = opened.nowMs + request.ttlSeconds * 1_000;
      const life = { id, request, isolation, expiresAtMs };
      return { attempt: this.attempts.begin(life, { transaction, replaces: row }) };
    }
    if (row && decision === 'take over' && call.endpoint.phased) {
      return this.takeOver(id, call, transaction, row);
    }
    void transaction.rollback(); // nothing was written, so the response need not wait for it
    if (row && decision === 'reused') throw call.reusedError(row);
    const finished = row && decision === 'replay' ? finishedKeyOf(row) : undefined;
    return finished ? this.recordHit(id, finished) : { inUseBy: row?.originalRequest };
  }

  /** Goes on where an owner that lost its lease stopped (R11). */
  private async takeOver(
    id: KeyId,
    call: IdempotentCall,
    transaction: OpenTransaction,
    row: KeyRow,
  ): Promise<Verdict | InUse> {
    const request = call.toStored(this.options.ttlSeconds, row.originalRequest);
    const { isolation } = call.endpoint;
    const life = { id, request, isolation, expiresAtMs: row.expiresAt.getTime() };
    try {
      return { attempt: await this.attempts.takeOver(life, transaction, row) };
    } catch (error) {
      if (error instanceof LeaseLostError) return { inUseBy: row.originalRequest };
      throw error;
    }
  }

  /** Caches what the store had, and counts it. */
  private recordHit(id: KeyId, replay: FinishedKey): Verdict {
    this.hitRate += (1 - this.hitRate) / HIT_RATE_WINDOW;
    this.replays.add(id, replay);
    return { replay };
  }
}
