import http from 'node:http';
import https from 'node:https';
import { type OnApplicationShutdown, Logger } from '@nestjs/common';
import type { Tenant } from '../../database';
import { type AcquirerOrder, RemoteKeyConflictError } from '../../sandbox-acquirer';
import { type GatewayOutcome, type KnownOutcome, OutcomeUnknownError } from '../gateway';
import { SandboxGateway } from './sandbox.gateway';

/** Calls that may be under way at once from one process; more wait for one of them. */
const MAX_CONNECTIONS = 256;

/** Shorter than the acquirer keeps a connection, so that it never closes one that is being written to. */
const IDLE_CONNECTION_MS = 20_000;

/** More than any answer of an acquirer. */
const MAX_ANSWER_BYTES = 65_536;

/** Between two lines of the log on the same trouble. */
const QUIET_MS = 10_000;

interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * The sandbox acquirer in a process of its own, over HTTP (`npm run acquirer`). Only what reads as an
 * outcome is one. All else is `unknown` (R12): no connection, a broken one, no answer in time, 5xx, an
 * answer that something between us and the acquirer made up.
 *
 * A call is not repeated in here: that is up to who holds the key, under the same remote key.
 */
export class HttpGateway extends SandboxGateway implements OnApplicationShutdown {
  private readonly logger = new Logger(HttpGateway.name);
  private readonly agent: http.Agent;
  private readonly client: typeof http | typeof https;
  /** Calls without a clear answer since the log last spoke of them. */
  private unclear = 0;
  private quietUntil = 0;

  /**
   * @param url of the acquirer, http or https
   * @param deadlineMs longest wait for an answer, in milliseconds; the caller's signal may end it earlier
   */
  constructor(
    private readonly url: string,
    private readonly deadlineMs: number,
  ) {
    super();
    this.client = url.startsWith('https:') ? https : http;
    this.agent = new this.client.Agent({
      keepAlive: true,
      maxSockets: MAX_CONNECTIONS,
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
    const answer = await this.ask('GET', tenant.account, key, undefined, signal);
    if (answer && isOutcome(answer.body)) return answer.body;
    if (answer && errorCode(answer) === 'remote_key_unknown') return undefined;
    if (answer) this.warn(`answered with the status ${answer.status}`);
    throw new OutcomeUnknownError();
  }

  protected override async order(
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder,
    signal: AbortSignal,
  ): Promise<GatewayOutcome> {
    const answer = await this.ask('PUT', merchant, remoteKey, order, signal);
    if (answer && isOutcome(answer.body)) return answer.body;
    if (answer && errorCode(answer) === 'remote_key_conflict') {
      throw new RemoteKeyConflictError(remoteKey);
    }
    if (answer) this.warn(`answered with the status ${answer.status}`);
    return { outcome: 'unknown' };
  }

  /** What came back, below 500; undefined where nothing did, in time and whole. */
  private async ask(
    method: 'GET' | 'PUT',
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder | undefined,
    signal: AbortSignal,
  ): Promise<HttpAnswer | undefined> {
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
    return new Promise<HttpAnswer>((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const { agent } = this;
      const request = this.client.request(url, { method, agent, headers, signal });
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer in ${this.deadlineMs} ms`)),
        this.deadlineMs,
      );
      const chunks: Buffer[] = [];
      let bytes = 0;
      request.on('close', () => clearTimeout(timer));
      request.on('error', reject);
      request.on('response', (response) => {
        response.on('error', reject);
        // A connection that breaks in the middle of an answer ends it without `end`.
        response.on('close', () => reject(new Error('the answer broke off')));
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > MAX_ANSWER_BYTES) request.destroy(new Error('the answer is too long'));
        });
        response.on('end', () => {
          const status = response.statusCode ?? 500;
          if (!response.complete) return;
          resolve({ status, body: status < 500 ? parsed(Buffer.concat(chunks)) : undefined });
        });
      });
      request.end(body);
    });
  }

  private warn(reason: string): void {
    this.unclear += 1;
    if (performance.now() < this.quietUntil) return;
    this.logger.warn(
      `The acquirer at ${new URL(this.url).origin} gave no clear answer to ${this.unclear} call(s), ` +
        `the last time: ${reason}. They are asked again under the same remote keys.`,
    );
    this.unclear = 0;
    this.quietUntil = performance.now() + QUIET_MS;
  }
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function errorCode({ body }: HttpAnswer): unknown {
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
