/**
 * contract/: what a developer touches. These are the options, of the module and of an endpoint; beside
 * them stand the decorator, the phases, the errors, and what a handler finds around it.
 */
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { IdempotencyError } from './idempotency.errors';

/** Who sent a request. The same key in two scopes is two keys (R3). */
export interface IdempotencyScope {
  /** The authenticated account, not empty. First column of the primary key. */
  readonly account: string;
  /** A partition of the account, such as `test` or `live`. Default: none. */
  readonly mode?: string;
}

/** What this module reads of a request. Fastify's and Express's requests both have this shape. */
export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly originalUrl?: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body?: unknown;
  /** The bytes of the body, on an application with `rawBody: true`. */
  readonly rawBody?: Buffer;
  /** What multer or a library like it left of the files of a form. */
  readonly file?: unknown;
  readonly files?: unknown;
  readonly savedRequestFiles?: unknown;
  /** Fastify keeps Node's request here; Express's request is Node's. */
  readonly raw?: IncomingMessage;
  readonly rawHeaders?: readonly string[];
  readonly socket?: object;
  readonly routeOptions?: { readonly url?: string };
  readonly baseUrl?: string;
  readonly route?: { readonly path?: string };
}

/** A response as it is stored, replayed and sent (R15). */
export interface StoredResponse {
  /** HTTP status. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A string stands for its bytes in UTF-8. */
  readonly body: Buffer | string;
}

/** One of this module's errors as a response. It is never stored. */
export type ErrorResponse = StoredResponse;

/** Options of `IdempotencyModule.forRoot()`. Durations state their unit in the name. */
export interface IdempotencyOptions {
  /**
   * Returns who sent this request, from what authentication left on it; never from the body or an
   * unauthenticated header. A string is an account. Without this option the application does not start
   * (R3).
   */
  readonly scope: (request: HttpRequest) => IdempotencyScope | string | undefined;
  /** Whether requests need a key (R2); `by-endpoint` leaves it to each `@Idempotent()`. Default `by-endpoint`. */
  readonly keyRequired?: 'by-endpoint' | 'always' | 'never';
  /** Life of a key in seconds where the endpoint sets none, 60 to 2,592,000 (R18). Default 86,400. */
  readonly ttlSeconds?: number;
  /** Longest duration of a remote phase, ms, 100 to 600,000 (R11). Default 10,000. */
  readonly remoteDeadlineMs?: number;
  /**
   * After this long without a statement PostgreSQL ends a transaction, which releases the key of a
   * frozen process (R9), ms, 100 to 600,000. Default 10,000.
   */
  readonly idleTransactionTimeoutMs?: number;
  /** Upper bound of `Prefer: wait=N`, seconds, 0 (never wait) to 300 (R8). Default 30. */
  readonly maxWaitSeconds?: number;
  /** How many requests of this process may wait at once, 0 to 100,000 (R8). Default 1,000. */
  readonly maxWaiters?: number;
  /**
   * Runs `work` as this account, for requests that recovery sends again (R19). It sets an async context
   * that the application's guard accepts; a request from a socket must have no way to set it. Without this
   * option recovery is off, and an abandoned request waits for its client's retry.
   */
  readonly runAs?: <T>(scope: Required<IdempotencyScope>, work: () => Promise<T>) => Promise<T>;
  /** Interval of this process's search for abandoned requests, ms, 0 (never) to 3,600,000. Default 2,000. */
  readonly recoveryIntervalMs?: number;
  /**
   * Interval at which this process purges expired keys, ms, 0 (never: `PurgeJob.runOnce()` is called by a schedule
   * of your own) to 86,400,000 (R19). Default 60,000.
   */
  readonly purgeIntervalMs?: number;
  /**
   * Age at which recovery parks a request that keeps failing, for a person to inspect, s, 1 to 2,592,000.
   * Default 86,400.
   */
  readonly parkAfterSeconds?: number;
  /**
   * Whether this module makes its table at the start, where it is missing. Several processes may start at once.
   * Default false: the application runs `idempotencyMigrations`. The start fails where neither was done.
   */
  readonly createSchema?: boolean;
  /**
   * Upper bound of the stored responses that this process keeps in memory, bytes, 0 (none) to
   * 17,179,869,184. A replay from there asks neither the key's row nor Redis. Default 67,108,864.
   */
  readonly replayMemoryBytes?: number;
  /**
   * URL of a Redis that keeps stored responses for all processes. Nothing else should use it; it needs a
   * bound on its memory and a policy that evicts. What it evicts is read from PostgreSQL. It takes the package
   * ioredis. Default: none.
   */
  readonly replayRedisUrl?: string | undefined;
  /** Returns a request's id, for `Request-Id` and `Original-Request` (R17). Default: a random UUID. */
  readonly requestId?: (request: HttpRequest) => string;
  /**
   * The page of yours that explains this module's errors: an absolute http or https URL in ASCII without
   * a fragment. A problem's `type` is then this URL with `#` and the code, and so is its `Link` with
   * `rel="describedby"` (R24). Default: none; `type` is `about:blank`. Not beside `formatError`.
   */
  readonly errorPageUrl?: string | undefined;
  /** Makes the response for one of this module's errors. Default: RFC 9457 problem details. */
  readonly formatError?: (error: IdempotencyError, request: HttpRequest) => ErrorResponse;
  /**
   * Whether an error of a handler is an outcome: final, stored and replayed (R13a). 4xx HttpExceptions are, but
   * 408, 425 and 429, and so is what an exception filter answers with such a status; this is for an error that
   * a filter or an interceptor answers with 2xx or 3xx. Where it throws, the error is none. Default: none is.
   */
  readonly isOutcome?: (error: unknown) => boolean;
  /**
   * Response headers that are stored and replayed beside `Content-Type`, `-Encoding`, `-Language`,
   * `-Disposition`, `ETag`, `Location` and `Link` (R15). `Set-Cookie` and hop-by-hop headers are
   * refused.
   */
  readonly storedHeaders?: readonly string[];
}

/** Options of `@Idempotent()`. */
export interface IdempotentOptions {
  /** Whether a request without a key is refused (R2). Default false. */
  readonly required?: boolean;
  /**
   * Life of a key in seconds, 60 to 2,592,000 (R18). Default: the module's; with `compare: 'key'` the longest,
   * because providers deliver webhooks again for longer than a day.
   */
  readonly ttl?: number;
  /**
   * Whether the handler calls something outside of the database, in named phases (R10). Default false:
   * atomic, one transaction (R9).
   */
  readonly phased?: boolean;
  /** Request headers whose values are part of the fingerprint (R7); no credentials. Default: none. */
  readonly headers?: readonly string[];
  /**
   * Returns the key of a request, such as the id of a webhook's event, and then the header is ignored: 1 to 255
   * printable ASCII characters. Never a secret or a card number: keys are stored and sent back. A request for
   * which it returns nothing, or throws, is refused. Default: the `Idempotency-Key` header.
   */
  readonly key?: (request: HttpRequest) => string | undefined;
  /**
   * Returns whose keys these are, where no account sends the requests: `() => 'stripe-webhooks'`. It must be no
   * account of yours. Default: the module's `scope`.
   */
  readonly scope?: IdempotencyOptions['scope'];
  /**
   * What two requests with one key are compared by (R7). `key`: method, path and `headers` alone, since a
   * provider may deliver an event again with other bytes. It takes `key`. Default `request`: query and body too.
   */
  readonly compare?: 'request' | 'key';
  /**
   * Names at the top of the body that are not compared, such as a client's time stamp. They must not influence
   * the effect: a copy with another value gets the response to the first. Default: none.
   */
  readonly ignore?: readonly string[];
  /**
   * Isolation level of the handler's transaction, of each phase where it is phased (R9a). Default: the
   * DataSource's `isolationLevel`, else the server's.
   */
  readonly isolation?: Isolation;
  /**
   * Returns what only the application knows of a request, such as the digest of a body that the handler reads
   * itself. It is compared by value beside everything else (R7a), and stands for an unread body, where the
   * operation is atomic, and for the content of a file that is not on this machine. It may be a promise.
   * Default: none; a request whose body was not read is refused.
   */
  readonly fingerprint?: (request: HttpRequest) => unknown;
}

/** The isolation levels that PostgreSQL tells apart, from the weakest. */
export const ISOLATION_LEVELS = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;
export type Isolation = (typeof ISOLATION_LEVELS)[number];

/** The module's options with every default filled in. */
export type ResolvedOptions = Required<IdempotencyOptions>;
export const RESOLVED_OPTIONS = Symbol('RESOLVED_OPTIONS');

const STORED_HEADERS = [
  'content-type',
  'content-encoding',
  'content-language',
  'content-disposition',
  'etag',
  'location',
  'link',
];
const NEVER_STORED = new Set(
  (
    'set-cookie connection keep-alive proxy-authenticate proxy-authorization te trailer ' +
    'transfer-encoding upgrade content-length date request-id original-request idempotency-key ' +
    'idempotent-replayed stripe-should-retry retry-after'
  ).split(' '),
);

/**
 * Fills in the defaults and checks every bound.
 *
 * @throws Error with one sentence for each wrong option, so that the application does not start
 */
export function resolveOptions(options: IdempotencyOptions): ResolvedOptions {
  const wrong: string[] = [];
  const bounded = (name: keyof IdempotencyOptions, fallback: number, min: number, max: number) => {
    const value = (options[name] as number | undefined) ?? fallback;
    if (!Number.isInteger(value) || value < min || value > max) {
      wrong.push(`${name} must be a whole number from ${min} to ${max}, and it is ${value}.`);
    }
    return value;
  };
  if (typeof options.scope !== 'function') {
    wrong.push('scope must be a function that returns the authenticated account of a request.');
  }
  const { errorPageUrl = '', formatError } = options;
  if (errorPageUrl !== '' && !isPageUrl(errorPageUrl)) {
    wrong.push(
      `errorPageUrl must be an absolute http or https URL in ASCII without a fragment, and it is ${errorPageUrl}.`,
    );
  }
  if (errorPageUrl !== '' && formatError) {
    wrong.push('errorPageUrl has no effect beside formatError: link to the page there.');
  }
  const storedHeaders = (options.storedHeaders ?? []).map((name) => name.toLowerCase());
  for (const name of storedHeaders.filter((header) => NEVER_STORED.has(header))) {
    wrong.push(`storedHeaders must not name ${name}, which is never replayed.`);
  }
  const resolved = {
    scope: options.scope,
    keyRequired: options.keyRequired ?? 'by-endpoint',
    ttlSeconds: bounded('ttlSeconds', 86_400, 60, 2_592_000),
    remoteDeadlineMs: bounded('remoteDeadlineMs', 10_000, 100, 600_000),
    idleTransactionTimeoutMs: bounded('idleTransactionTimeoutMs', 10_000, 100, 600_000),
    maxWaitSeconds: bounded('maxWaitSeconds', 30, 0, 300),
    maxWaiters: bounded('maxWaiters', 1_000, 0, 100_000),
    runAs: options.runAs ?? ((_scope, work) => work()),
    recoveryIntervalMs: options.runAs ? bounded('recoveryIntervalMs', 2_000, 0, 3_600_000) : 0,
    purgeIntervalMs: bounded('purgeIntervalMs', 60_000, 0, 86_400_000),
    parkAfterSeconds: bounded('parkAfterSeconds', 86_400, 1, 2_592_000),
    createSchema: options.createSchema ?? false,
    replayMemoryBytes: bounded('replayMemoryBytes', 67_108_864, 0, 17_179_869_184),
    replayRedisUrl: options.replayRedisUrl ?? '',
    requestId: options.requestId ?? (() => randomUUID()),
    errorPageUrl,
    isOutcome: options.isOutcome ?? (() => false),
    formatError: formatError ?? problemDetails(errorPageUrl),
    storedHeaders: [...STORED_HEADERS, ...storedHeaders],
  };
  if (wrong.length > 0) throw new Error(`IdempotencyModule: ${wrong.join(' ')}`);
  return resolved;
}

/** Whether `#code` can be appended to it, and it can stand in a header. */
function isPageUrl(text: string): boolean {
  return /^https?:\/\/[!$-;=?-~]+$/i.test(text) && URL.canParse(text);
}

/**
 * Errors as RFC 9457 problem details, where the application sets no `formatError`. They link to the page
 * that explains them, if there is one, in both ways of draft-ietf-httpapi-idempotency-key-header-07, 2.7.
 */
function problemDetails(errorPageUrl: string): ResolvedOptions['formatError'] {
  return ({ status, code, message }) => {
    const type = errorPageUrl === '' ? 'about:blank' : `${errorPageUrl}#${code}`;
    const problem = { type, title: STATUS_CODES[status], status, detail: message, code };
    return {
      status,
      headers: {
        'content-type': 'application/problem+json',
        ...(errorPageUrl === '' ? {} : { link: `<${type}>; rel="describedby"` }),
      },
      body: Buffer.from(JSON.stringify(problem)),
    };
  };
}
