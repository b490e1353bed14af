/** "Was my request executed?" (R20), for an endpoint of the application to answer. */
import { Inject, Injectable } from '@nestjs/common';
import { refuseCardNumber } from './request/key-header';
import {
  type HttpRequest,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
} from './contract/idempotency.options';
import { type Backlog, KeyStore, scopeOf } from './store/key.store';

/** What is known of a key. */
export interface KeyStatus {
  /** `running` also while an owner that crashed has not been taken over yet. */
  readonly state: 'running' | 'finished';
  /** Nothing while an atomic operation runs: its row is not there before its commit. */
  readonly operation?: string;
  readonly originalRequest?: string;
  /** HTTP status of the stored answer. */
  readonly status?: number;
  readonly createdAt?: Date;
  readonly expiresAt?: Date;
}

@Injectable()
export class IdempotencyKeys {
  constructor(
    @Inject(KeyStore) private readonly store: KeyStore,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
  ) {}

  /** How far behind recovery and purge are, over all scopes: for whoever watches over them (R19). */
  backlog(): Promise<Backlog> {
    return this.store.backlog();
  }

  /**
   * What became of a key in the scope of the one who asks; another's keys are out of reach.
   *
   * @returns nothing when the key was never used in this scope, or is past its life
   * @throws IdempotencyKeyInvalidError for a key that looks like a card number (R23)
   */
  async find(asker: HttpRequest, key: string): Promise<KeyStatus | undefined> {
    refuseCardNumber(key);
    const { row, running } = await this.store.read({ ...scopeOf(asker, this.options), key });
    if (!row) return running ? { state: 'running' } : undefined;
    const { operation, originalRequest, createdAt, expiresAt, answer } = row;
    const state = answer ? 'finished' : 'running';
    return { state, operation, originalRequest, status: answer?.status, createdAt, expiresAt };
  }
}
