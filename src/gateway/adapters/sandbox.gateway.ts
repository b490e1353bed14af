/** What the two adapters of the sandbox acquirer share: its orders, its tokens and its promise. */
import { createHash } from 'node:crypto';
import { type AcquirerOrder, type ChangeOrder, sandboxCard } from '../../sandbox-acquirer';
import {
  type CancelOrder,
  type CaptureOrder,
  type CardDescription,
  type ChargeOrder,
  Gateway,
  type GatewayOutcome,
  type RefundOrder,
} from '../gateway';

const DAY_MS = 86_400_000;

/**
 * The gateway of test mode: the sandbox acquirer, in this process or in a process of its own. Its
 * merchants are the accounts.
 */
export abstract class SandboxGateway extends Gateway {
  /** The acquirer ledger is never pruned; the sandbox promises a month. */
  override readonly dedupeWindowMs = 30 * DAY_MS;

  override charge(key: string, order: ChargeOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    const { tenant, amount, currency, card, capture, metadata } = order;
    const payment = { kind: 'charge', amount, currency, card, capture, metadata } as const;
    return this.execute(tenant.account, key, payment, signal);
  }

  override capture(key: string, order: CaptureOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    return this.execute(order.tenant.account, key, change('capture', order, order.amount), signal);
  }

  override refund(key: string, order: RefundOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    return this.execute(order.tenant.account, key, change('refund', order, order.amount), signal);
  }

  override cancel(key: string, order: CancelOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    return this.execute(order.tenant.account, key, change('cancel', order, 0), signal);
  }

  /** The tokens are Stripe's: `pm_card_X`, `pm_card_visa_X` and `tok_X`. */
  override describeCard(token: string): CardDescription | undefined {
    const name = /^(?:pm_card|tok)_(\w{1,64})$/.exec(token)?.[1];
    if (name === undefined) return undefined;
    return describe(name) ?? describe(name.replace(/^visa_/, ''));
  }

  /** Has the acquirer execute an order, once for one (merchant, remote key). */
  protected abstract execute(
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder,
    signal: AbortSignal,
  ): Promise<GatewayOutcome>;
}

/** The sandbox's cards differ in brand, funding and digits; all else is made up, and the same for all. */
function describe(name: string): CardDescription | undefined {
  const card = sandboxCard(name);
  if (!card) return undefined;
  const digest = createHash('sha256').update(`sandbox card ${name}`).digest('hex');
  return {
    card: name,
    brand: card.brand,
    country: 'US',
    expMonth: 12,
    expYear: 2034,
    fingerprint: digest.slice(0, 16),
    funding: card.funding,
    last4: card.last4,
  };
}

function change(kind: ChangeOrder['kind'], order: CancelOrder, amount: number): ChangeOrder {
  const { reference: payment, metadata } = order;
  return { kind, payment, amount, metadata };
}
