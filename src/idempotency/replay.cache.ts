/**
 * Finished answers near at hand: in the memory of this process, then in Redis. A finished answer
 * never changes, so a replay needs no database; but these tiers only ever save a look at it, and
 * never decide who may run. They are filled once COMMIT was acknowledged, and an entry is used only
 * within the life that the database gave it (R5, R18).
 */
import { createHash } from 'node:crypto';
import { circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel';
import { LRUCache } from 'lru-cache';
import type { DatabaseClock } from './database.clock';
import type { Fingerprint } from './fingerprint';
import type { Answer } from './idempotency.options';
import type { FinishedKey, KeyId } from './key.store';

/** Where the tier of all processes keeps its bytes; `redis.replays.ts` is the one adapter. */
export interface SharedReplays {
  /** Fails, or answers in bounded time. */
  get(name: string): Promise<Buffer | null>;
  /** @param lifeMs after which the entry may go */
  set(name: string, value: string, lifeMs: number): Promise<unknown>;
}

/** What an entry takes beside its own bytes, roughly. */
const OVERHEAD_BYTES = 1_000;
/** After so many failures in a row Redis is left alone for a while: slower, never wrong. */
const FAILURES = 3;
const LEFT_ALONE_MS = 1_000;

export class ReplayCache {
  readonly #memory?: LRUCache<string, FinishedKey>;
  readonly #whileHealthy = circuitBreaker(handleAll, {
    halfOpenAfter: LEFT_ALONE_MS,
    breaker: new ConsecutiveBreaker(FAILURES),
  });

  /**
   * @param memoryBytes most bytes this process keeps; 0 keeps nothing
   * @param shared the tier that all processes share, where there is one
   */
  constructor(
    private readonly clock: DatabaseClock,
    memoryBytes: number,
    private readonly shared?: SharedReplays,
  ) {
    if (memoryBytes > 0) {
      this.#memory = new LRUCache({ maxSize: memoryBytes, sizeCalculation: sizeOf });
    }
  }

  /** What a key was answered, if one of the tiers has it and its life goes on. */
  find(id: KeyId): FinishedKey | undefined | Promise<FinishedKey | undefined> {
    const name = nameOf(id);
    const finished = this.#memory?.get(name);
    if (finished && this.lives(finished)) return finished;
    return this.shared && this.findShared(this.shared, name);
  }

  /** Keeps what was committed, once that is acknowledged, or what was read. */
  keep(id: KeyId, finished: FinishedKey): void {
    const name = nameOf(id);
    this.#memory?.set(name, finished);
    const { shared } = this;
    const nowMs = this.clock.latestMs();
    if (!shared || nowMs === undefined) return;
    const lifeMs = Math.floor(finished.expiresAt.getTime() - nowMs);
    if (lifeMs <= 0) return;
    const value = packed(finished);
    // Nobody waits for it, and without it a replay asks PostgreSQL.
    this.#whileHealthy
      .execute(() => shared.set(sharedName(name), value, lifeMs))
      .catch(() => undefined);
  }

  private async findShared(shared: SharedReplays, name: string): Promise<FinishedKey | undefined> {
    try {
      const value = await this.#whileHealthy.execute(() => shared.get(sharedName(name)));
      const finished = value === null ? undefined : unpacked(value);
      if (!finished || !this.lives(finished)) return undefined;
      this.#memory?.set(name, finished);
      return finished;
    } catch {
      return undefined; // away, slow, or what it has is no entry of ours: PostgreSQL knows
    }
  }

  private lives({ expiresAt }: FinishedKey): boolean {
    const nowMs = this.clock.latestMs();
    return nowMs !== undefined && nowMs < expiresAt.getTime();
  }
}

const nameOf = (id: KeyId): string => JSON.stringify([id.account, id.mode, id.key]);

/** Fixed in length, and says nothing of whose key it is. */
const sharedName = (name: string): string =>
  `paidonce:replay:${createHash('sha256').update(name).digest('base64url')}`;

function sizeOf({ answer, fingerprint, operation }: FinishedKey, name: string): number {
  const parameters = Object.keys(fingerprint.parameters).join().length;
  return OVERHEAD_BYTES + name.length + operation.length + parameters + answer.body.length;
}

/** How an entry looks in Redis. Another format has another number, and is left alone. */
const FORMAT = 1;

function packed({ operation, originalRequest, fingerprint, answer, expiresAt }: FinishedKey) {
  return JSON.stringify({
    format: FORMAT,
    operation,
    originalRequest,
    fingerprint: { ...fingerprint, hash: fingerprint.hash.toString('base64') },
    answer: { ...answer, body: answer.body.toString('base64') },
    expiresAt: expiresAt.getTime(),
  });
}

interface Packed extends Omit<FinishedKey, 'fingerprint' | 'answer' | 'expiresAt'> {
  readonly format: number;
  readonly fingerprint: Omit<Fingerprint, 'hash'> & { readonly hash: string };
  readonly answer: Omit<Answer, 'body'> & { readonly body: string };
  readonly expiresAt: number;
}

function unpacked(value: Buffer): FinishedKey | undefined {
  const { format, operation, originalRequest, fingerprint, answer, expiresAt } = JSON.parse(
    value.toString(),
  ) as Packed;
  if (format !== FORMAT) return undefined;
  return {
    operation,
    originalRequest,
    fingerprint: { ...fingerprint, hash: Buffer.from(fingerprint.hash, 'base64') },
    answer: { ...answer, body: Buffer.from(answer.body, 'base64') },
    expiresAt: new Date(expiresAt),
  };
}
