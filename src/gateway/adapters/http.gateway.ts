/** The adapter for the sandbox acquirer in a process of its own, over HTTP (`npm run acquirer`). */
import http from 'node:http';
import https from 'node:https';
import { type OnApplicationShutdown, Logger } from '@nestjs/common';
import type { Tenant } from '../../database';
import { WarningInterval } from '../../runtime';
import { type AcquirerOrder, RemoteKeyConflictError } from '../../sandbox-acquirer';
import { type GatewayOutcome, type KnownOutcome, OutcomeUnknownError } from '../gateway';
import { SandboxGateway } from './sandbox.gateway';

/** Calls in flight at once from one process; further calls wait for one of them. */
const MAX_SOCKETS = 256;

/** Less than the acquirer keeps an idle connection, so that it closes none that is being written to. */
const IDLE_CONNECTION_MS = 20_000;

/** More than any response of the acquirer. */
const MAX_RESPONSE_BYTES = 65_536;

/** The log repeats a warning at most this often. */
const WARNING_INTERVAL_MS = 10_000;

/** One request to the acquirer. */
interface AcquirerRequest {
  readonly method: 'GET' | 'PUT';
  readonly merchant: string;
  readonly remoteKey: string;
  readonly order?: AcquirerOrder;
  readonly signal: AbortSignal;
}

/** A response of the acquirer; the body is undefined where it is not JSON, or the status is 500 or above. */
interface AcquirerResponse {
  readonly status: number;
  readonly body: unknown;
}

/**
 * Only a body that reads as an outcome is one. All else is `unknown` (R12): no connection, a broken one,
 * no response in time, 5xx, a response that a proxy made up.
 *
 * No call is repeated here. The owner of the key does that, under the same remote key.
 */
export class HttpGateway extends SandboxGateway implements OnApplicationShutdown {
  private readonly logger = new Logger(HttpGateway.name);
  private readonly agent: http.Agent;
  private readonly client: typeof http | typeof https;
  /** Calls without a clear outcome since the last warning. */
  private unclearCalls = 0;
  private readonly warnings = new WarningInterval(WARNING_INTERVAL_MS);

  /**
   * @param url of the acquirer, http or https
   * @param deadlineMs longest wait for a response, ms; the caller's signal may end it earlier
   */
  constructor(
    private readonly url: string,
    private readonly deadlineMs: number,
  ) {
    super();
    this.client = url.startsWith('https:') ? https : http;
    this.agent = new this.client.Agent({
      keepAlive: true,
      maxSockets: MAX_SOCKETS,
      timeout: IDLE_CONNECTION_MS,
    });
  }

  onApplicationShutdown(): void {
    this.agent.destroy();
  }

  override async lookUp(
    key: string,
    tenant: Tenant,
    signal: AbortSignal,
  ): Promise<KnownOutcome | undefined> {
    const merchant = tenant.account;
    const res = await this.request({ method: 'GET', merchant, remoteKey: key, signal });
    if (res && isOutcome(res.body)) return res.body;
    if (res && errorCode(res) === 'remote_key_unknown') return undefined;
    if (res) this.warn(`it responded with the status ${res.status}`);
    throw new OutcomeUnknownError();
  }

  protected override async execute(
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder,
    signal: AbortSignal,
  ): Promise<GatewayOutcome> {
    const res = await this.request({ method: 'PUT', merchant, remoteKey, order, signal });
    if (res && isOutcome(res.body)) return res.body;
    if (res && errorCode(res) === 'remote_key_conflict') {
      throw new RemoteKeyConflictError(remoteKey);
    }
    if (res) this.warn(`it responded with the status ${res.status}`);
    return { outcome: 'unknown' };
  }

  /** Returns a response that arrived in time and whole, else undefined. */
  private async request(request: AcquirerRequest): Promise<AcquirerResponse | undefined> {
    const { method, merchant, remoteKey, order, signal } = request;
    signal.throwIfAborted();
    const [account, key] = [encodeURIComponent(merchant), encodeURIComponent(remoteKey)];
    const url = new URL(`v1/merchants/${account}/operations/${key}`, this.url.replace(/\/*$/, '/'));
    try {
      return await this.send(method, url, order && JSON.stringify(order), signal);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.warn(code ?? message);
      return undefined;
    }
  }

  private send(method: string, url: URL, body: string | undefined, signal: AbortSignal) {
    return new Promise<AcquirerResponse>((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const { agent } = this;
      const req = this.client.request(url, { method, agent, headers, signal });
      const timer = setTimeout(
        () => req.destroy(new Error(`no response in ${this.deadlineMs} ms`)),
        this.deadlineMs,
      );
      const chunks: Buffer[] = [];
      let bytes = 0;
      req.on('close', () => clearTimeout(timer));
      req.on('error', reject);
      req.on('response', (res) => {
        res.on('error', reject);
        // A connection that breaks in the middle of a response ends it without `end`.
        res.on('close', () => reject(new Error('the response broke off')));
        res.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > MAX_RESPONSE_BYTES) req.destroy(new Error('the response is too long'));
        });
        res.on('end', () => {
          const status = res.statusCode ?? 500;
          if (!res.complete) return;
          resolve({ status, body: status < 500 ? tryParseJson(Buffer.concat(chunks)) : undefined });
        });
      });
      req.end(body);
    });
  }

  private warn(reason: string): void {
    this.unclearCalls += 1;
    if (!this.warnings.isDue()) return;
    this.logger.warn(
      `The acquirer at ${new URL(this.url).origin} gave no clear outcome for ${this.unclearCalls} call(s); ` +
        `the last reason: ${reason}. They are sent again under the same remote keys.`,
    );
    this.unclearCalls = 0;
  }
}

/** Undefined for what is not JSON. */
function tryParseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function errorCode({ body }: AcquirerResponse): unknown {
  return (body as { error?: { code?: unknown } } | null | undefined)?.error?.code;
}

function isOutcome(body: unknown): body is KnownOutcome {
  const { outcome, reference, code, message, declineCode } = (body ?? {}) as Record<
    string,
    unknown
  >;
  if (outcome === 'approved') return typeof reference === 'string' && reference !== '';
  return (
    outcome === 'declined' &&
    typeof code === 'string' &&
    typeof message === 'string' &&
    (declineCode === null || typeof declineCode === 'string')
  );
}
