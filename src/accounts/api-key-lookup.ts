/** Looks up API keys in the database, in one statement at a time for all requests. */
import { LRUCache } from 'lru-cache';
import type { Principal } from './principal';

/** How long a result is cached: for so long a revoked key may still be accepted. */
const CACHE_TTL_MS = 1_000;
/** Cached keys: this many valid ones, and as many unknown ones. */
const MAX_CACHED_KEYS = 10_000;
const MAX_KEYS_PER_STATEMENT = 1_000;

/** Returns the principals of valid keys, by the key's hash in base64. Other keys have no entry. */
export type FindPrincipals = (hashes: readonly string[]) => Promise<Map<string, Principal>>;

interface PendingLookup {
  readonly promise: Promise<Principal | null>;
  readonly resolve: (principal: Principal | null) => void;
  readonly reject: (error: unknown) => void;
}

/** When a statement began. */
interface StatementStart {
  readonly atMs: number;
  readonly generation: number;
}

/**
 * Finds the principals of API keys. While a statement runs, further keys are queued for the next one, so
 * that made-up keys occupy at most one connection of the pool.
 */
export class ApiKeyLookup {
  /** Two caches, so that made-up keys cannot evict valid ones. */
  private readonly validKeys = newCache<Principal>();
  private readonly unknownKeys = newCache<true>();
  /** By hash: the lookups in the running statement and in the queue. */
  private readonly pending = new Map<string, PendingLookup>();
  /** Hashes for the next statement. */
  private queue: string[] = [];
  private isRunning = false;
  /** Counts the calls of `clearCache`: a statement that began before the last one fills no cache. */
  private generation = 0;

  constructor(private readonly findPrincipals: FindPrincipals) {}

  /**
   * The principal of a key; null if the key is unknown or revoked.
   *
   * @param hash SHA-256 of the key, base64
   */
  principalOf(hash: string): Promise<Principal | null> {
    const principal = this.validKeys.get(hash);
    if (principal) return Promise.resolve(principal);
    if (this.unknownKeys.has(hash)) return Promise.resolve(null);
    const pending = this.pending.get(hash);
    if (pending) return pending.promise;
    const { promise } = this.enqueue(hash);
    if (!this.isRunning) void this.runStatements();
    return promise;
  }

  /** Empties the caches, so that every key is looked up again. */
  clearCache(): void {
    this.generation += 1;
    this.validKeys.clear();
    this.unknownKeys.clear();
  }

  private enqueue(hash: string): PendingLookup {
    const pending = newPendingLookup();
    this.pending.set(hash, pending);
    this.queue.push(hash);
    return pending;
  }

  /** Runs one statement after another until the queue is empty. */
  private async runStatements(): Promise<void> {
    this.isRunning = true;
    while (this.queue.length > 0) {
      const hashes = this.queue.splice(0, MAX_KEYS_PER_STATEMENT);
      const start = { atMs: performance.now(), generation: this.generation };
      try {
        const principals = await this.findPrincipals(hashes);
        for (const hash of hashes) {
          const principal = principals.get(hash);
          this.cache(hash, principal, start);
          this.takePending(hash).resolve(principal ?? null);
        }
      } catch (error) {
        for (const hash of hashes) this.takePending(hash).reject(error);
      }
    }
    this.isRunning = false;
  }

  private takePending(hash: string): PendingLookup {
    const pending = this.pending.get(hash);
    if (!pending) throw new Error('A hash was looked up that is not pending.');
    this.pending.delete(hash);
    return pending;
  }

  /** The entry expires by the statement's start, since the key may have been revoked after it. */
  private cache(hash: string, principal: Principal | undefined, start: StatementStart): void {
    if (start.generation !== this.generation) return;
    if (principal) this.validKeys.set(hash, principal, { start: start.atMs });
    else this.unknownKeys.set(hash, true, { start: start.atMs });
  }
}

function newCache<T extends object | true>(): LRUCache<string, T> {
  return new LRUCache({ max: MAX_CACHED_KEYS, ttl: CACHE_TTL_MS });
}

function newPendingLookup(): PendingLookup {
  let resolve!: PendingLookup['resolve'];
  let reject!: PendingLookup['reject'];
  const promise = new Promise<Principal | null>((onFound, onError) => {
    resolve = onFound;
    reject = onError;
  });
  return { promise, resolve, reject };
}
