/** Looks API keys up: one statement at a time, whoever asks and however many are made up. */
import { LRUCache } from 'lru-cache';
import type { Principal } from './principal';

/**
 * How long what was found, or not found, is not asked for again, ms: the longest a revoked key may go
 * on working.
 */
const REMEMBERED_MS = 1_000;
/** Most keys that are remembered of each kind. */
const MAX_REMEMBERED = 10_000;
/** Most keys in one statement. */
const MAX_PER_STATEMENT = 1_000;

/** The principals of valid keys, by hash in base64; a key that is none has no entry. */
export type FindPrincipals = (hashes: readonly string[]) => Promise<Map<string, Principal>>;

interface Pending {
  readonly promise: Promise<Principal | null>;
  readonly resolve: (found: Principal | null) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Finds who API keys stand for. While a statement is under way, whoever asks waits for the next one,
 * which asks for all of them: made-up keys cost one connection of the pool at most.
 */
export class ApiKeyLookup {
  /** Apart from each other, so that made-up keys push no valid one out. */
  readonly #found = remembering<Principal>();
  readonly #unknown = remembering<true>();
  /** Who waits for an answer, by hash. */
  readonly #pending = new Map<string, Pending>();
  /** The hashes among them that no statement asks for yet. */
  #unasked: string[] = [];
  #isAsking = false;
  /** Raised by `forget`: what was asked before it is not remembered. */
  #generation = 0;

  constructor(private readonly findPrincipals: FindPrincipals) {}

  /** @param hash SHA-256 of the key, base64 */
  principalOf(hash: string): Promise<Principal | null> {
    const found = this.#found.get(hash);
    if (found) return Promise.resolve(found);
    if (this.#unknown.has(hash)) return Promise.resolve(null);
    const pending = this.#pending.get(hash);
    if (pending) return pending.promise;
    const { promise } = this.wait(hash);
    if (!this.#isAsking) void this.ask();
    return promise;
  }

  /** Whatever was found is asked for again. */
  forget(): void {
    this.#generation += 1;
    this.#found.clear();
    this.#unknown.clear();
  }

  private wait(hash: string): Pending {
    const pending = newPending();
    this.#pending.set(hash, pending);
    this.#unasked.push(hash);
    return pending;
  }

  /** Asks until nobody waits. */
  private async ask(): Promise<void> {
    this.#isAsking = true;
    while (this.#unasked.length > 0) {
      const hashes = this.#unasked.splice(0, MAX_PER_STATEMENT);
      const asked = { atMs: performance.now(), generation: this.#generation };
      try {
        const principals = await this.findPrincipals(hashes);
        for (const hash of hashes) {
          const principal = principals.get(hash);
          this.remember(hash, principal, asked);
          this.take(hash).resolve(principal ?? null);
        }
      } catch (error) {
        for (const hash of hashes) this.take(hash).reject(error);
      }
    }
    this.#isAsking = false;
  }

  private take(hash: string): Pending {
    const pending = this.#pending.get(hash);
    if (!pending) throw new Error('A hash was asked for that nobody waits for.');
    this.#pending.delete(hash);
    return pending;
  }

  /** From when it was asked for on: what the database said then may be revoked by now. */
  private remember(
    hash: string,
    principal: Principal | undefined,
    asked: { readonly atMs: number; readonly generation: number },
  ): void {
    if (asked.generation !== this.#generation) return;
    const start = asked.atMs;
    if (principal) this.#found.set(hash, principal, { start });
    else this.#unknown.set(hash, true, { start });
  }
}

function remembering<T extends object | true>(): LRUCache<string, T> {
  return new LRUCache({ max: MAX_REMEMBERED, ttl: REMEMBERED_MS });
}

function newPending(): Pending {
  let resolve!: Pending['resolve'];
  let reject!: Pending['reject'];
  const promise = new Promise<Principal | null>((onFound, onError) => {
    resolve = onFound;
    reject = onError;
  });
  return { promise, resolve, reject };
}
