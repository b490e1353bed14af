/** Key status: whether a request was executed (R20), for an endpoint of the application. */
import { Inject, Injectable } from '@nestjs/common';
import { refuseCardNumber } from './request/key-header';
import {
  type HttpRequest,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
} from './contract/idempotency.options';
import { scopeOf } from './request/scope';
import { type Backlog, KeyStore } from './store/key.store';

/** The state of a key at one moment. */
export interface KeyStatus {
  /** `running` until it is finished, also after its owner crashed. */
  readonly state: 'running' | 'finished';
  /** HTTP method and route. This and all below are missing while an atomic operation runs: it has no row yet. */
  readonly operation?: string;
  /** Id of the request that first used the key. */
  readonly originalRequest?: string;
  /** HTTP status of the stored response. */
  readonly status?: number;
  readonly createdAt?: Date;
  readonly expiresAt?: Date;
}

@Injectable()
export class KeyStatusService {
  constructor(
    private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
  ) {}

  /** How far behind recovery and purge are, over all scopes, for monitoring (R19). */
  backlog(): Promise<Backlog> {
    return this.store.backlog();
  }

  /**
   * The state of a key in the scope of this request; keys of other scopes are out of reach.
   *
   * @param asker the request that asks, after authentication
   * @returns nothing when the key was never used in this scope, or is past its life
   * @throws IdempotencyKeyInvalidError for a key that looks like a card number (R23)
   */
  async find(asker: HttpRequest, key: string): Promise<KeyStatus | undefined> {
    refuseCardNumber(key);
    const { row, running } = await this.store.read({ ...scopeOf(asker, this.options), key });
    if (!row) return running ? { state: 'running' } : undefined;
    const { operation, originalRequest, createdAt, expiresAt, storedResponse } = row;
    const state = storedResponse ? 'finished' : 'running';
    return {
      state,
      operation,
      originalRequest,
      status: storedResponse?.status,
      createdAt,
      expiresAt,
    };
  }
}
