/**
 * replays/: finished keys near at hand, in the memory of this process and then in Redis. A finished
 * response never changes, so a replay from here asks the store nothing. These tiers only ever save a read
 * of the store; they never decide who may run. An entry is added after COMMIT was acknowledged, and used
 * only within the life that the database gave it (R5, R18).
 */
import { hash } from 'node:crypto';
import type { DatabaseClock } from '../store/database-clock';
import type { StoredResponse } from '../contract/idempotency.options';
import { type FinishedKey, type KeyId, keyNameOf } from '../store/key.store';
import { CircuitBreaker } from './circuit-breaker';
import { RecentEntries } from './recent-entries';

/** The tier that all processes share; `redis-replays.ts` is its one adapter. */
export interface SharedReplays {
  /** Resolves or rejects in bounded time. */
  get(name: string): Promise<string | null>;
  /** @param lifeMs after which the entry may go */
  set(name: string, value: string, lifeMs: number): Promise<unknown>;
}

/** Memory of an entry beside its own bytes, roughly. */
const ENTRY_OVERHEAD_BYTES = 1_000;
/** After this many failures in a row Redis is not asked for a while: replays are slower, never wrong. */
const MAX_FAILURES = 3;
const BREAK_MS = 1_000;

export class ReplayCache {
  private readonly memory?: RecentEntries<FinishedKey>;
  private readonly whileHealthy = new CircuitBreaker(MAX_FAILURES, BREAK_MS);

  /**
   * @param memoryBytes upper bound of this process's tier; 0 turns it off
   * @param shared the tier that all processes share, where there is one
   */
  constructor(
    private readonly clock: DatabaseClock,
    memoryBytes: number,
    private readonly shared?: SharedReplays,
  ) {
    if (memoryBytes > 0) this.memory = new RecentEntries(memoryBytes, sizeOf);
  }

  /**
   * The finished key, if one of the tiers has it and it has not expired.
   *
   * @returns no promise where it is in memory, or where Redis is not asked
   */
  find(id: KeyId): FinishedKey | undefined | Promise<FinishedKey | undefined> {
    const name = keyNameOf(id);
    const finished = this.memory?.get(name);
    if (finished && this.clock.isAhead(finished.expiresAtMs)) return finished;
    return this.shared && this.findShared(this.shared, name);
  }

  /** Adds a finished key that was read, or whose commit was acknowledged. */
  add(id: KeyId, finished: FinishedKey): void {
    const name = keyNameOf(id);
    this.memory?.set(name, finished);
    const { shared } = this;
    const nowMs = shared && this.clock.latestMs();
    if (!shared || nowMs === undefined) return;
    const lifeMs = Math.floor(finished.expiresAtMs - nowMs);
    if (lifeMs <= 0) return;
    const value = packed(finished);
    // Not awaited: without the entry a replay asks PostgreSQL.
    this.whileHealthy.run(() => shared.set(sharedName(name), value, lifeMs)).catch(() => undefined);
  }

  private async findShared(shared: SharedReplays, name: string): Promise<FinishedKey | undefined> {
    try {
      const value = await this.whileHealthy.run(() => shared.get(sharedName(name)));
      const finished = value === null ? undefined : unpacked(value);
      if (!finished || !this.clock.isAhead(finished.expiresAtMs)) return undefined;
      this.memory?.set(name, finished);
      return finished;
    } catch {
      return undefined; // Redis is down, slow, or has another format: ask PostgreSQL
    }
  }
}

/** A digest: of fixed length, and without the account in it. */
const sharedName = (name: string): string => `paidonce:replay:${hash('sha256', name, 'base64url')}`;

function sizeOf({ storedResponse, operation, parameters }: FinishedKey, name: string): number {
  const { body } = storedResponse;
  // V8 stores two bytes for each character of a string, unless all characters fit in one.
  const wide = typeof body === 'string' && Buffer.byteLength(body) > body.length;
  const bytes = wide ? 2 * body.length : body.length;
  return ENTRY_OVERHEAD_BYTES + name.length + operation.length + parameters.length + bytes;
}

/** Version of an entry in Redis. An entry of another version is not used. */
const FORMAT = 2;

/** The first line of an entry, as JSON; the body follows it. */
interface Head extends Omit<FinishedKey, 'storedResponse'> {
  readonly format: number;
  /** The stored response without its body. */
  readonly answer: Omit<StoredResponse, 'body'>;
  /** How the body is encoded. */
  readonly body: 'text' | 'base64';
}

function packed({ storedResponse, ...finished }: FinishedKey): string {
  const { body, ...answer } = storedResponse;
  const text = typeof body === 'string';
  const head: Head = { format: FORMAT, ...finished, answer, body: text ? 'text' : 'base64' };
  return `${JSON.stringify(head)}\n${text ? body : body.toString('base64')}`;
}

function unpacked(value: string): FinishedKey | undefined {
  const end = value.indexOf('\n');
  const { format, answer, body, ...finished } = JSON.parse(value.slice(0, end)) as Head;
  if (format !== FORMAT) return undefined;
  const text = value.slice(end + 1);
  const storedResponse = {
    status: answer.status,
    headers: answer.headers,
    body: body === 'text' ? text : Buffer.from(text, 'base64'),
  };
  return { ...finished, storedResponse };
}
