import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Tenant } from '../database';
import { Settings } from '../settings';
import { AcquirerStore, type LedgerEntry } from './acquirer.store';
import {
  type CancelOrder,
  type CaptureOrder,
  type ChargeOrder,
  type Declined,
  Gateway,
  type GatewayOutcome,
  type KnownOutcome,
  type RefundOrder,
} from './gateway';
import { sandboxCard } from './sandbox-cards';

const DAY_MS = 86_400_000;

/**
 * The acquirer behind sandbox keys. It runs in this process but behaves like another company's
 * service: books of its own, at most one effect per (merchant, remote key), latency, and no say for
 * the caller's transactions. A merchant is an account; the sandbox has no live money, so no mode.
 */
@Injectable()
export class SandboxAcquirer extends Gateway implements OnModuleInit, OnApplicationShutdown {
  /** Its books are never pruned; a month is what it promises. */
  override readonly dedupeWindowMs = 30 * DAY_MS;

  /**
   * How long every call takes, in milliseconds, on top of the work: half on the way there, half on the
   * way back, so that a caller that gives up may do so before the effect or after it.
   */
  latencyMs: number;

  private readonly store: AcquirerStore;

  constructor(@Inject(Settings) settings: Pick<Settings, 'DATABASE_URL' | 'SANDBOX_LATENCY_MS'>) {
    super();
    this.latencyMs = settings.SANDBOX_LATENCY_MS;
    this.store = new AcquirerStore(settings.DATABASE_URL);
  }

  async onModuleInit(): Promise<void> {
    await this.store.createSchema();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.store.close();
  }

  override charge(key: string, order: ChargeOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    const { tenant, amount, currency, capture } = order;
    const payment = `acq_${randomUUID()}`;
    const what = { kind: 'charge', payment, amount, currency } as const;
    return this.travel(signal, () =>
      this.store.once({ ...what, merchant: tenant.account, remoteKey: key }, async (books) => {
        const card = sandboxCard(order.card);
        if (!card) return declined('invalid_card', 'The sandbox has no card of that name.');
        if (card.decline) return { outcome: 'declined', ...card.decline };
        await books.open(currency, amount, capture);
        return { outcome: 'approved', reference: payment };
      }),
    );
  }

  override capture(key: string, order: CaptureOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    const { tenant, reference, amount } = order;
    const what = { kind: 'capture', payment: reference, amount, currency: null } as const;
    return this.travel(signal, () =>
      this.store.once({ ...what, merchant: tenant.account, remoteKey: key }, async (books) =>
        (await books.capture(amount))
          ? { outcome: 'approved', reference }
          : declined('capture_refused', 'There is no open authorisation of at least this amount.'),
      ),
    );
  }

  override refund(key: string, order: RefundOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    const { tenant, reference, amount } = order;
    const what = { kind: 'refund', payment: reference, amount, currency: null } as const;
    return this.travel(signal, () =>
      this.store.once({ ...what, merchant: tenant.account, remoteKey: key }, async (books) =>
        (await books.refund(amount))
          ? { outcome: 'approved', reference: `acr_${randomUUID()}` }
          : declined('refund_refused', 'This is more than what was captured and not yet refunded.'),
      ),
    );
  }

  override cancel(key: string, order: CancelOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    const { tenant, reference } = order;
    const what = { kind: 'cancel', payment: reference, amount: 0, currency: null } as const;
    return this.travel(signal, () =>
      this.store.once({ ...what, merchant: tenant.account, remoteKey: key }, async (books) =>
        (await books.release())
          ? { outcome: 'approved', reference }
          : declined('cancel_refused', 'There is no open authorisation to release.'),
      ),
    );
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

function declined(code: string, message: string): Declined {
  return { outcome: 'declined', code, declineCode: null, message };
}
