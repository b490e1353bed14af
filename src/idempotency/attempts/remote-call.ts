/** One call of a remote phase, and its remote key: repeated or looked up, within its deadline (R10, R12). */
import { createHash } from 'node:crypto';
import { IdempotencyOutcomeUnknownError } from '../contract/idempotency.errors';
import type { RemoteOptions } from '../contract/phases';
import { asJson } from './phase-results';

/** Calls the far side, under the key of this phase. */
export type FarSideCall<T> = (remoteKey: string, signal: AbortSignal) => Promise<T>;

/** Which phase of which life calls, and how long it may take. */
export interface RemoteBounds {
  readonly name: string;
  readonly claimId: string;
  /** Of the claim, ms. */
  readonly ageMs: number;
  /** Longest duration of the call, ms. It ends before the lease does. */
  readonly timeoutMs: number;
}

/**
 * Calls the far side while it remembers the key, else asks it what became of the key.
 *
 * @returns the result as JSON keeps it
 * @throws IdempotencyOutcomeUnknownError for everything that the call throws
 */
export async function callFarSide<T>(
  call: FarSideCall<T>,
  { name, claimId, ageMs, timeoutMs }: RemoteBounds,
  { dedupeWindowMs = Infinity, lookUp }: RemoteOptions<T>,
): Promise<T> {
  const repeat = ageMs + timeoutMs < dedupeWindowMs;
  const ask = repeat ? call : lookUp;
  const remoteKey = remoteKeyOf(claimId, name);
  try {
    if (!ask) throw new Error(`The far side no longer remembers the key of "${name}".`);
    const result = await withDeadline(timeoutMs, (signal) => ask(remoteKey, signal));
    if (!repeat && result === undefined) throw new Error(`Nothing is known of "${name}".`);
    return asJson(result as T);
  } catch (cause) {
    throw new IdempotencyOutcomeUnknownError({ cause });
  }
}

/** The same on every attempt, so that the far side recognises a repeat (R10). */
function remoteKeyOf(claimId: string, name: string): string {
  return createHash('sha256').update(`${claimId}\n${name}`).digest('hex').slice(0, 40);
}

/** Waits up to `deadlineMs`. Then the signal of `call` fires, and the wait ends with an Error. */
async function withDeadline<T>(
  deadlineMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { signal } = controller;
  const timer = setTimeout(
    () => controller.abort(new Error(`No result in ${deadlineMs} ms.`)),
    deadlineMs,
  );
  try {
    const overdue = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
    return await Promise.race([call(signal), overdue]);
  } finally {
    clearTimeout(timer);
  }
}
