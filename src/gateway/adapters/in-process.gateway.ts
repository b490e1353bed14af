/** The adapter for the sandbox acquirer inside this process, with its acquirer ledger in PostgreSQL. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { Tenant } from '../../database';
import type { Settings } from '../../runtime';
import { type AcquirerOrder, PostgresAcquirerLedger } from '../../sandbox-acquirer';
import type { KnownOutcome } from '../gateway';
import { SandboxGateway } from './sandbox.gateway';

/**
 * Behaves like another company's service: it has at most one effect per (merchant, remote key), it takes
 * time, and no transaction of its caller reaches into it.
 */
export class InProcessGateway
  extends SandboxGateway
  implements OnModuleInit, OnApplicationShutdown
{
  /**
   * How long every call takes on top of the work, ms. Half passes before the work and half after it, so a
   * caller may give up before the effect or after it.
   */
  latencyMs: number;

  /** Read by tests: no service of this server asks it. */
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
    return this.withLatency(signal, () => this.ledger.lookUp(tenant.account, key));
  }

  protected override execute(
    merchant: string,
    key: string,
    order: AcquirerOrder,
    signal: AbortSignal,
  ) {
    return this.withLatency(signal, () => this.ledger.executeOnce(merchant, key, order));
  }

  private async withLatency<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.latencyMs > 0) await sleep(this.latencyMs / 2, undefined, { signal });
    const result = await unlessAborted(signal, work());
    if (this.latencyMs > 0) await sleep(this.latencyMs / 2, undefined, { signal });
    signal.throwIfAborted();
    return result;
  }
}

/** The result of `work`, or an error as soon as the caller gives up. The work goes on all the same. */
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
