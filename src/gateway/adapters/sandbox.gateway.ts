import type { ChangeOrder, AcquirerOrder } from '../../sandbox-acquirer';
import {
  type CancelOrder,
  type CaptureOrder,
  type ChargeOrder,
  Gateway,
  type GatewayOutcome,
  type RefundOrder,
} from '../gateway';

const DAY_MS = 86_400_000;

/**
 * What moves the money of sandbox keys: a gateway to the sandbox acquirer, wherever that runs. A
 * merchant is an account; the sandbox has no live money, so no mode.
 */
export abstract class SandboxGateway extends Gateway {
  /** Its books are never pruned; a month is what it promises. */
  override readonly dedupeWindowMs = 30 * DAY_MS;

  override charge(key: string, order: ChargeOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    const { tenant, amount, currency, card, capture, metadata } = order;
    const payment = { kind: 'charge', amount, currency, card, capture, metadata } as const;
    return this.order(tenant.account, key, payment, signal);
  }

  override capture(key: string, order: CaptureOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    return this.order(order.tenant.account, key, change('capture', order, order.amount), signal);
  }

  override refund(key: string, order: RefundOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    return this.order(order.tenant.account, key, change('refund', order, order.amount), signal);
  }

  override cancel(key: string, order: CancelOrder, signal: AbortSignal): Promise<GatewayOutcome> {
    return this.order(order.tenant.account, key, change('cancel', order, 0), signal);
  }

  /** Has the acquirer do what is ordered, once for one (merchant, remote key). */
  protected abstract order(
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder,
    signal: AbortSignal,
  ): Promise<GatewayOutcome>;
}

function change(kind: ChangeOrder['kind'], order: CancelOrder, amount: number): ChangeOrder {
  const { reference: payment, metadata } = order;
  return { kind, payment, amount, metadata };
}
