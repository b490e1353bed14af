/** Remembers which request each of the caller's keys was used for. */
import { RecentMap } from './recent-map';
import type { RepeatableRequest } from './repeatable-request';
import { sha256 } from './web-crypto';

/** Callers' keys that are remembered; the one used longest ago makes room. */
const MAX_KEYS = 1_000;

/** A caller's key that its call may use. */
export interface ClaimedKey {
  /** Whether no request that is remembered had used it. */
  readonly isNew: boolean;
  /** After a request without effect: the key may be free again, which the server decides. */
  forget(): void;
}

/**
 * Refuses a caller's key that belongs to another request before anything is sent. The server would refuse
 * it too, or execute the request if it no longer knows the key. Requests are compared by method, URL and
 * body, byte for byte; a multipart form by method and URL alone, because its boundary changes each time.
 *
 * Keys and bodies are kept as hashes. Each pair of origin and `Authorization` has its own keys, as at the
 * server.
 */
export class KeyMemory {
  private readonly requests = new RecentMap<string>(MAX_KEYS);

  /** @returns undefined where the key belongs to another request */
  async claim(request: RepeatableRequest): Promise<ClaimedKey | undefined> {
    const { method, url, idempotencyKey, init } = request;
    const { headers, body } = init;
    const owner = [new URL(url).origin, headers.get('authorization')];
    const isForm = headers.get('content-type')?.startsWith('multipart/');
    const [key, content] = await Promise.all([
      sha256(JSON.stringify([...owner, idempotencyKey])),
      sha256((isForm ? undefined : body) ?? ''),
    ]);
    const sent = `${method} ${url} ${content}`;
    const before = this.requests.get(key);
    if (before !== undefined && before !== sent) return undefined;
    this.requests.set(key, sent);
    return { isNew: before === undefined, forget: () => this.requests.delete(key) };
  }
}
