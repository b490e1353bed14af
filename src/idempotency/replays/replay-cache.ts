/**
 * Finished answers near at hand: in the memory of this process, then in Redis. A finished answer
 * never changes, so a replay needs no database; but these tiers only ever save a look at it, and
 * never decide who may run. They are filled once COMMIT was acknowledged, and an entry is used only
 * within the life that the database gave it (R5, R18).
 */
import { hash } from 'node:crypto';
import { circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel';
import { LRUCache } from 'lru-cache';
import type { DatabaseClock } from '../store/database-clock';
import type { Answer } from '../contract/idempotency.options';
import { type FinishedKey, type KeyId, nameOf } from '../store/key.store';

/** Where the tier of all processes keeps its bytes; `redis.replays.ts` is the one adapter. */
export interface SharedReplays {
  /** Fails, or answers in bounded time. */
  get(name: string): Promise<string | null>;
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
    const lifeMs = Math.floor(finished.expiresAtMs - nowMs);
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

  private lives({ expiresAtMs }: FinishedKey): boolean {
    const nowMs = this.clock.latestMs();
    return nowMs !== undefined && nowMs < expiresAtMs;
  }
}

/** Fixed in length, and says nothing of whose key it is. */
const sharedName = (name: string): string => `paidonce:replay:${hash('sha256', name, 'base64url')}`;

function sizeOf({ answer, operation, parameters }: FinishedKey, name: string): number {
  const { body } = answer;
  // V8 keeps a string in two bytes for each character, unless all of them fit in one.
  const wide = typeof body === 'string' && Buffer.byteLength(body) > body.length;
  const bytes = wide ? 2 * body.length : body.length;
  return OVERHEAD_BYTES + name.length + operation.length + parameters.length + bytes;
}

/** How an entry looks in Redis. Another format has another number, and is left alone. */
const FORMAT = 2;

/** What stands before the body, as JSON on a line of its own. */
interface Head extends Omit<FinishedKey, 'answer'> {
  readonly format: number;
  readonly answer: Omit<Answer, 'body'>;
  /** How the body is written. */
  readonly body: 'text' | 'base64';
}

function packed({ answer: { body, ...answer }, ...finished }: FinishedKey): string {
  const text = typeof body === 'string';
  const head: Head = { format: FORMAT, ...finished, answer, body: text ? 'text' : 'base64' };
  return `${JSON.stringify(head)}\n${text ? body : body.toString('base64')}`;
}

function unpacked(value: string): FinishedKey | undefined {
  const end = value.indexOf('\n');
  const head = JSON.parse(value.slice(0, end)) as Head;
  if (head.format !== FORMAT) return undefined;
  const text = value.slice(end + 1);
  const { status, headers } = head.answer;
  const body = head.body === 'text' ? text : Buffer.from(text, 'base64');
  return Object.assign(head, { answer: { status, headers, body } });
}
