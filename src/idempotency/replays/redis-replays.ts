/** The tier of kept answers that all processes share, on Redis. */
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../contract/idempotency.options';
import type { SharedReplays } from './replay-cache';

/** Longest wait for an answer of Redis, ms: PostgreSQL would have answered by then. */
const PATIENCE_MS = 100;
/** Longest pause before a lost connection is tried again, ms. */
const LONGEST_PAUSE_MS = 2_000;

@Injectable()
export class RedisReplays implements SharedReplays, OnApplicationShutdown {
  readonly #redis?: Redis;

  constructor(@Inject(RESOLVED_OPTIONS) { replayRedisUrl }: ResolvedOptions) {
    if (!replayRedisUrl) return;
    this.#redis = new Redis(replayRedisUrl, {
      // What is asked while Redis is away fails at once instead of waiting in line.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: PATIENCE_MS,
      retryStrategy: (times) => Math.min(times * 100, LONGEST_PAUSE_MS),
    });
    this.#redis.on('error', () => undefined); // each command fails by itself
  }

  get(name: string): Promise<string | null> {
    this.sharePacket();
    return this.#redis?.get(name) ?? Promise.resolve(null);
  }

  async set(name: string, value: string, lifeMs: number): Promise<void> {
    this.sharePacket();
    await this.#redis?.set(name, value, 'PX', lifeMs);
  }

  /**
   * What is asked in one turn of the event loop goes in one packet. ioredis' own `enableAutoPipelining` would
   * have each packet wait for the answer to the one before it: measured, the slower of the two.
   */
  private sharePacket(): void {
    const stream = this.#redis?.stream;
    if (!stream || stream.writableCorked > 0) return;
    stream.cork();
    setImmediate(() => stream.uncork());
  }

  onApplicationShutdown(): void {
    this.#redis?.disconnect();
  }
}
