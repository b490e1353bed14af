/** "Was my request executed?" (R20), for an endpoint of the application to answer. */
import { Inject, Injectable } from '@nestjs/common';
import { KeyStore, type KeyId } from './key.store';

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
  constructor(@Inject(KeyStore) private readonly store: KeyStore) {}

  /** @returns nothing when the key was never used in this scope, or is past its life */
  async find(id: KeyId): Promise<KeyStatus | undefined> {
    const { row, running } = await this.store.read(id);
    if (!row) return running ? { state: 'running' } : undefined;
    const { operation, originalRequest, createdAt, expiresAt, answer } = row;
    const state = answer ? 'finished' : 'running';
    return { state, operation, originalRequest, status: answer?.status, createdAt, expiresAt };
  }
}
