/** What a check works with: requests to the server, and what they did there. */
import { randomUUID } from 'node:crypto';
import { type Reply, sendBounded } from './bounded-request';
import { type CheckConfig, CheckConfigError, type CheckedRoute } from './check-config';
import type { Profile } from './profiles';

/** What differs from a request of the config's route without a key. */
export interface ProbeRequest {
  readonly key?: string;
  /** The header exactly as it goes out, instead of `key`; a list sends it once for each. */
  readonly keyHeader?: string | readonly string[];
  readonly body?: string;
  readonly route?: CheckedRoute;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A reply, and how many effects there were meanwhile; undefined where the config gives no way to tell. */
export interface WatchedReply {
  readonly reply: Reply;
  readonly effects: number | undefined;
}

export const isSuccess = ({ status }: Reply) => status >= 200 && status < 300;

export class Probe {
  /** What the server refused so far. */
  readonly refusals: WatchedReply[] = [];
  /** Of all responses so far. */
  private readonly identities = new Set<string>();

  constructor(
    readonly config: CheckConfig,
    readonly profile: Profile,
    private readonly base: URL,
    /** Aborted when the time for all checks is up. */
    readonly signal: AbortSignal,
  ) {}

  newKey(): string {
    return randomUUID();
  }

  async send(given: ProbeRequest): Promise<Reply> {
    const { key, keyHeader = key === undefined ? undefined : this.headerFor(key) } = given;
    const { method, path, body } = given.route ?? this.config.route;
    const reply = await sendBounded({
      url: this.urlOf(path),
      method,
      headers: {
        'content-type': 'application/json',
        ...this.config.headers,
        ...given.headers,
        ...(keyHeader !== undefined && { 'idempotency-key': keyHeader }),
      },
      body: given.body ?? body,
      timeoutMs: this.config.timeoutMs,
      signal: this.signal,
    });
    const identity = this.identityIn(reply);
    if (identity !== undefined) this.identities.add(identity);
    return reply;
  }

  /** Sends one request and tells its effects. */
  async watch(given: ProbeRequest): Promise<WatchedReply> {
    const { replies, effects } = await this.watchAll(1, given);
    return { reply: replies[0]!, effects };
  }

  /** Sends copies of a request at once and tells the effects of all. */
  async watchAll(
    copies: number,
    given: ProbeRequest,
  ): Promise<{ readonly replies: readonly Reply[]; readonly effects: number | undefined }> {
    const known = this.identities.size;
    const before = await this.countEffects(given.headers);
    const replies = await Promise.all(Array.from({ length: copies }, () => this.send(given)));
    const after = await this.countEffects(given.headers);
    if (before !== undefined && after !== undefined) return { replies, effects: after - before };
    return {
      replies,
      effects: this.allTellEffects(replies) ? this.identities.size - known : undefined,
    };
  }

  /** Watches a request that the server should refuse, and remembers what it got if it was refused. */
  async watchRefusal(given: ProbeRequest): Promise<WatchedReply> {
    const watched = await this.watch(given);
    if (watched.reply.status >= 400) this.refusals.push(watched);
    return watched;
  }

  /** The key as a header, in the profile's way. */
  private headerFor(key: string): string {
    return this.profile.quotesKeys ? `"${key}"` : key;
  }

  private urlOf(path: string): URL {
    // Joined as texts: resolved against the base, `/\host` would lead to another machine.
    return new URL(this.base.origin + this.base.pathname.replace(/\/$/, '') + path);
  }

  /** How many effects the server lists; undefined where the config names no list. */
  private async countEffects(
    headers: Readonly<Record<string, string>> | undefined,
  ): Promise<number | undefined> {
    const { count } = this.config.effects;
    if (!count) return undefined;
    const { status, body } = await sendBounded({
      url: this.urlOf(count.path),
      method: 'GET',
      headers: { ...this.config.headers, ...headers },
      timeoutMs: this.config.timeoutMs,
      signal: this.signal,
    });
    const found = valueAt(body, count.at);
    if (Array.isArray(found)) return found.length;
    if (typeof found === 'number') return found;
    throw new CheckConfigError(
      `\`effects.count\`: GET ${count.path} got ${status}, and has no list or number at "${count.at}".`,
    );
  }

  /** Whether the identities in these responses show all effects. A refusal alone shows nothing. */
  private allTellEffects(replies: readonly Reply[]): boolean {
    return (
      replies.some(isSuccess) &&
      replies.every((reply) => reply.status === 409 || this.identityIn(reply) !== undefined)
    );
  }

  /** What names the effect of a response, as text. */
  private identityIn({ body }: Reply): string | undefined {
    const { identity } = this.config.effects;
    return identity === undefined ? undefined : JSON.stringify(valueAt(body, identity));
  }
}

/** The value that a JSON pointer (RFC 6901) leads to; undefined where it leads nowhere. */
export function valueAt(body: Buffer, pointer: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  for (const escaped of pointer.split('/').slice(1)) {
    const name = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
