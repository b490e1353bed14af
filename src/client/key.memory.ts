/** Keys: making them, and remembering what the caller used theirs for. */
import { RecentMap } from './recent.map';
import type { RepeatableRequest } from './repeatable.request';

/** Callers' keys that are remembered; the one used longest ago makes room. */
const MAX_KEYS = 1_000;

/** A key that nobody else makes. */
export function newKey(): string {
  return webCrypto().randomUUID();
}

/** A caller's key that its call may use. */
export interface ClaimedKey {
  /** Nobody had used it, as far as is remembered. */
  readonly isNew: boolean;
  /** For a request that had no effect: its key may be free again, which the server knows best. */
  forget(): void;
}

/**
 * Finds a caller's key that is used for another request, before that is sent: the server would refuse it,
 * or, where it has forgotten the key, do it. Requests are compared by method, URL and body, byte for byte;
 * a multipart form by method and URL alone, as its boundary is another one each time.
 *
 * Keys and bodies are kept as hashes. Who asks (origin and `Authorization`) has keys of their own, as
 * at the server.
 */
export class KeyMemory {
  readonly #requests = new RecentMap<string>(MAX_KEYS);

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
    const before = this.#requests.get(key);
    if (before !== undefined && before !== sent) return undefined;
    this.#requests.set(key, sent);
    return { isNew: before === undefined, forget: () => this.#requests.delete(key) };
  }
}

async function sha256(data: NonNullable<RepeatableRequest['init']['body']>): Promise<string> {
  const isText = typeof data === 'string';
  const bytes = isText ? new TextEncoder().encode(data) : await new Response(data).arrayBuffer();
  const hash = await webCrypto().subtle.digest('SHA-256', bytes);
  return String.fromCharCode(...new Uint8Array(hash));
}

function webCrypto(): typeof globalThis.crypto {
  const { crypto } = globalThis;
  // `subtle` and `randomUUID` come and go together.
  if (crypto?.subtle !== undefined) return crypto;
  throw new TypeError(
    'paidonce/client makes keys with the Web Crypto API, which a browser gives to secure pages alone: ' +
      'serve this page over https, or from localhost.',
  );
}
