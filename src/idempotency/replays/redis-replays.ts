/** The tier of finished keys that all processes share, on Redis. */
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../contract/idempotency.options';
import type { SharedReplays } from './replay-cache';

/** Redis's reply timeout, ms: PostgreSQL would have replied by then. */
const REPLY_TIMEOUT_MS = 100;
/** Longest pause before a lost connection is opened again, ms. */
const MAX_RECONNECT_PAUSE_MS = 2_000;

@Injectable()
export class RedisReplays implements SharedReplays, OnModuleInit, OnApplicationShutdown {
  private redis?: Redis;

  constructor(@Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions) {}

  /**
   * ioredis is loaded here alone, because most applications do without.
   *
   * @throws Error in words, where it is not installed
   */
  async onModuleInit(): Promise<void> {
    const { replayRedisUrl } = this.options;
    if (!replayRedisUrl) return;
    const ioredis = await import('ioredis').catch((error: unknown) => {
      throw new Error(
        'IdempotencyModule: replayRedisUrl needs the package ioredis: npm install ioredis.',
        { cause: error },
      );
    });
    this.redis = new ioredis.Redis(replayRedisUrl, {
      // A command fails at once while Redis is down, instead of waiting in a queue.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: REPLY_TIMEOUT_MS,
      retryStrategy: (times) => Math.min(times * 100, MAX_RECONNECT_PAUSE_MS),
    });
    this.redis.on('error', () => undefined); // each command fails by itself
  }

  get(name: string): Promise<string | null> {
    this.sharePacket();
    return this.redis?.get(name) ?? Promise.resolve(null);
  }

  async set(name: string, value: string, lifeMs: number): Promise<void> {
    this.sharePacket();
    await this.redis?.set(name, value, 'PX', lifeMs);
  }

  /**
   * Sends the commands of one turn of the event loop in one packet. ioredis' own `enableAutoPipelining` has
   * each packet wait for the reply to the one before it, which was measured to be slower.
   */
  private sharePacket(): void {
    // Internals: stream-of-ioredis
    const stream = this.redis?.stream;
    if (!stream || stream.writableCorked > 0) return;
    stream.cork();
    setImmediate(() => stream.uncork());
  }

  onApplicationShutdown(): void {
    this.redis?.disconnect();
  }
}
