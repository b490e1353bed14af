import { setTimeout as sleep } from 'node:timers/promises';
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { Tenant } from '../../database';
import type { Settings } from '../../runtime';
import { PostgresAcquirerLedger, type LedgerEntry, type Order } from '../../sandbox-acquirer';
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

  private readonly store: PostgresAcquirerLedger;

  constructor(settings: Pick<Settings, 'DATABASE_URL' | 'SANDBOX_LATENCY_MS'>) {
    super();
    this.latencyMs = settings.SANDBOX_LATENCY_MS;
    this.store = new PostgresAcquirerLedger(settings.DATABASE_URL);
  }

  async onModuleInit(): Promise<void> {
    await this.store.createSchema();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.store.close();
  }

  override lookUp(
    key: string,
    tenant: Tenant,
    signal: AbortSignal,
  ): Promise<KnownOutcome | undefined> {
    return this.travel(signal, () => this.store.answerTo(tenant.account, key));
  }

  /** What the books owe a merchant: captured less refunded, in the currency's smallest unit. */
  balance(account: string, currency: string): Promise<number> {
    return this.store.balance(account, currency);
  }

  /** Everything that was approved for a merchant, oldest first. */
  ledger(account: string): Promise<LedgerEntry[]> {
    return this.store.ledger(account);
  }

  protected override order(merchant: string, key: string, order: Order, signal: AbortSignal) {
    return this.travel(signal, () => this.store.once(merchant, key, order));
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
