import { setTimeout as sleep } from 'node:timers/promises';
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { Tenant } from '../../database';
import type { Settings } from '../../runtime';
import { type AcquirerOrder, PostgresAcquirerLedger } from '../../sandbox-acquirer';
import type { KnownOutcome } from '../gateway';
import { SandboxGateway } from './sandbox.gateway';

/**
 * The sandbox acquirer inside this process, with its books in PostgreSQL. It behaves like another
 * company's service all the same: at most one effect per (merchant, remote key), latency, and no say
 * for the caller's transactions.
 */
export class InProcessGateway
  extends SandboxGateway
  implements OnModuleInit, OnApplicationShutdown
{
  /**
   * How long every call takes, in milliseconds, on top of the work: half on the way there, half on the
   * way back, so that a caller that gives up may do so before the effect or after it.
   */
  latencyMs: number;

  /** What the sandbox acquirer has done, for tests and for operators who ask. */
  readonly ledger: PostgresAcquirerLedger;

  constructor(settings: Pick<Settings, 'DATABASE_URL' | 'SANDBOX_LATENCY_MS'>) {
    super();
    this.latencyMs = settings.SANDBOX_LATENCY_MS;
    this.ledger = new PostgresAcquirerLedger(settings.DATABASE_URL);
  }

  async onModuleInit(): Promise<void> {
    await this.ledger.createSchema();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.ledger.close();
  }

  override lookUp(
    key: string,
    tenant: Tenant,
    signal: AbortSignal,
  ): Promise<KnownOutcome | undefined> {
    return this.travel(signal, () => this.ledger.lookUp(tenant.account, key));
  }

  protected override order(
    merchant: string,
    key: string,
    order: AcquirerOrder,
    signal: AbortSignal,
  ) {
    return this.travel(signal, () => this.ledger.executeOnce(merchant, key, order));
  }

  private async travel<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.latencyMs > 0) await sleep(this.latencyMs / 2, undefined, { signal });
    const answer = await unlessAborted(signal, work());
    if (this.latencyMs > 0) await sleep(this.latencyMs / 2, undefined, { signal });
    signal.throwIfAborted();
    return answer;
  }
}

/** What `work` answers, or an error as soon as the caller gives up; the work may go on all the same. */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let giveUp = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    giveUp = () => reject(signal.reason as Error);
    signal.addEventListener('abort', giveUp);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
