/** One request to an idempotent endpoint, as the pipeline sees it: read before the handler can change it. */
import { randomUUID } from 'node:crypto';
import {
  IdempotencyKeyMissingError,
  IdempotencyKeyReusedError,
  IdempotencyStoreUnavailableError,
} from '../contract/idempotency.errors';
import type {
  HttpRequest,
  IdempotentOptions,
  ResolvedOptions,
} from '../contract/idempotency.options';
import { comparedRequest } from '../request/compared-request';
import { keyFrom } from '../request/endpoint-key';
import {
  type Compared,
  differences,
  digestsOf,
  type Fingerprint,
  fingerprintOf,
} from '../request/fingerprint';
import { readKey } from '../request/key-header';
import { claimBeingRecovered, recordRequest } from '../request/recorded-request';
import { readContent, type RequestContent } from '../request/request-content';
import type { RouteSelectors } from '../request/route-selectors';
import { scopeOf } from '../request/scope';
import type { FinishedKey, KeyId, StoredRequest } from '../store/key.store';

/** R18: the longest life of a key. */
const MAX_TTL_SECONDS = 2_592_000;

/** The parts of a stored request that are compared. */
type StoredParts = Pick<
  FinishedKey,
  'fingerprint' | 'parameters' | 'operation' | 'originalRequest'
>;

/** An endpoint's options, and what selects its route. */
export interface IdempotentRoute {
  readonly options: IdempotentOptions;
  readonly selectors: RouteSelectors;
}

export class IdempotentCall {
  /** Nothing: an atomic operation without a key (R2). */
  readonly id?: KeyId;
  readonly endpoint: IdempotentOptions;
  /** The life of a key that recovery sends again; nothing for a client's request (R19). */
  readonly recovers?: string;
  /** The route, as a text: HTTP method, template, and the host and version that it declares (R7b). */
  readonly operation: string;
  private readonly comparedHttp: HttpRequest;
  private compared: Compared;
  private ownFingerprint?: Fingerprint;
  private digests?: string;

  /**
   * Reads key and scope (R1 to R3, R23).
   *
   * @throws IdempotencyKeyMissingError, IdempotencyKeyInvalidError, IdempotencyScopeMissingError
   */
  constructor(
    readonly http: HttpRequest,
    readonly requestId: string,
    { options: endpoint, selectors }: IdempotentRoute,
    options: Pick<ResolvedOptions, 'keyRequired' | 'scope'>,
  ) {
    this.endpoint = endpoint;
    this.operation = operationOf(http, selectors);
    this.recovers = claimBeingRecovered(http);
    const key = this.readKey(options);
    const { account, mode } = scopeOf(http, { scope: endpoint.scope ?? options.scope });
    if (key !== undefined) this.id = { account, mode, key };
    this.compared = { headers: endpoint.headers, selectors };
    this.comparedHttp = comparedRequest(http, endpoint);
  }

  private readKey({ keyRequired }: Pick<ResolvedOptions, 'keyRequired'>): string | undefined {
    const { http, endpoint, recovers } = this;
    // Recovery sends any key in the header.
    if (endpoint.key && recovers === undefined) return keyFrom(http, endpoint.key);
    const sent = readKey(http, recovers !== undefined);
    const required = keyRequired === 'by-endpoint' ? endpoint.required : keyRequired === 'always';
    if (sent === undefined && required) throw new IdempotencyKeyMissingError();
    // A phased operation without a key gets one, so that a crash is recovered all the same.
    return sent ?? (endpoint.phased ? `server-made-${randomUUID()}` : undefined);
  }

  /**
   * Reads what this request is compared by, before the handler can change it (R7, R7a). A call without a key
   * is compared with nothing.
   *
   * @returns no promise unless files are to be hashed, or only the body's first byte tells whether there is one
   * @throws IdempotencyBodyUnreadableError, IdempotencyKeyInvalidError
   */
  readBody(): void | Promise<void> {
    if (!this.id) return;
    const content = readContent(this.http, this.endpoint);
    if (content instanceof Promise) return content.then((late) => this.compareBy(late));
    this.compareBy(content);
  }

  /** @throws Error before `readBody` is over */
  get fingerprint(): Fingerprint {
    if (!this.ownFingerprint) throw new Error('The body of this call has not been read.');
    return this.ownFingerprint;
  }

  private compareBy(content: RequestContent): void {
    const { headers, selectors } = this.compared;
    this.compared = { headers, selectors, content };
    this.ownFingerprint = fingerprintOf(this.comparedHttp, this.compared);
  }

  /** Digests that name what differs (R7). The handler may change the body: ask once before it runs. */
  get parameters(): string {
    return (this.digests ??= digestsOf(this.comparedHttp, this.compared));
  }

  /**
   * What is stored of this request. Call it before the handler runs.
   *
   * @param originalRequest id of the request that ran first in this life of the key
   */
  toStored(defaultTtlSeconds: number, originalRequest = this.requestId): StoredRequest {
    const { http, endpoint, operation, fingerprint, parameters } = this;
    return {
      operation,
      fingerprint,
      parameters,
      originalRequest,
      ttlSeconds:
        endpoint.ttl ?? (endpoint.compare === 'key' ? MAX_TTL_SECONDS : defaultTtlSeconds),
      recorded: endpoint.phased
        ? recordRequest(http, this.compared.content?.hasBody ?? false, endpoint.headers)
        : undefined,
    };
  }

  /**
   * Whether the stored request is this one, in the version of its fingerprint, so that a rolling
   * deployment changes no decision.
   *
   * @throws IdempotencyStoreUnavailableError for a version of a newer release
   */
  isSameAs({ fingerprint: { version, hash } }: StoredParts): boolean {
    const mine =
      version === this.fingerprint.version
        ? this.fingerprint
        : fingerprintOf(this.comparedHttp, this.compared, version);
    // This process cannot compare it; one of the newer release can.
    if (!mine) throw new IdempotencyStoreUnavailableError();
    return mine.hash === hash;
  }

  /** The error that names what differs from the stored request, never its values (R7). */
  reusedError({
    parameters,
    operation,
    originalRequest,
    fingerprint: { version },
  }: StoredParts): IdempotencyKeyReusedError {
    const isCurrent = version === this.fingerprint.version;
    const mine = isCurrent ? this.parameters : digestsOf(this.comparedHttp, this.compared, version);
    const names = differences(parameters, mine);
    return new IdempotencyKeyReusedError(names, operation, originalRequest);
  }
}

/** As method and template, with the declared host and version behind them. */
function operationOf(http: HttpRequest, selectors: RouteSelectors): string {
  const template = http.routeOptions?.url ?? `${http.baseUrl ?? ''}${http.route?.path ?? ''}`;
  const declared = Object.entries(selectors).map(([name, text]) => `${name} ${text}`);
  const route = `${http.method} ${template || (http.url.split('?', 1)[0] ?? '')}`;
  return declared.length === 0 ? route : `${route} (${declared.join(', ')})`;
}
