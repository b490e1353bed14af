/** The rules of the sandbox acquirer: the result of an order, and the payment after it. Pure. */
import { randomUUID } from 'node:crypto';
import { sandboxCard } from './cards';
import type { DeclinedOrder, OrderResult } from './order-result';

/** What a merchant wrote on the payment. The rules ignore it; `faults.ts` reads it. */
export type OrderMetadata = Readonly<Record<string, string>>;

/** An order for a new payment. Amounts are integers in the currency's smallest unit. */
export interface PaymentOrder {
  readonly kind: 'charge';
  readonly amount: number;
  /** Three lower-case letters of ISO 4217. */
  readonly currency: string;
  /** Name of a sandbox card. */
  readonly card: string;
  /** False only authorises. */
  readonly capture: boolean;
  readonly metadata?: OrderMetadata;
}

/** An order that changes a payment. */
export interface ChangeOrder {
  readonly kind: 'capture' | 'refund' | 'cancel';
  /** The reference in the result of the charge. */
  readonly payment: string;
  /** 0 for `cancel`, which has none. */
  readonly amount: number;
  readonly metadata?: OrderMetadata;
}

export type AcquirerOrder = PaymentOrder | ChangeOrder;

/** A payment in the acquirer ledger. */
export interface AcquirerPayment {
  readonly currency: string;
  readonly authorized: number;
  readonly captured: number;
  readonly refunded: number;
  /** An authorisation that was neither captured nor released. */
  readonly open: boolean;
}

export interface OrderDecision {
  readonly result: OrderResult;
  /** The payment's name, a new one for a charge. */
  readonly payment: string;
  /** The payment after the order; undefined where nothing changes. */
  readonly paymentAfter?: AcquirerPayment;
}

/** A remote key came again with another order: a bug of the caller. Nothing was done. */
export class RemoteKeyConflictError extends Error {
  override readonly name = 'RemoteKeyConflictError';

  constructor(remoteKey: string) {
    super(`Remote key ${remoteKey} was used before for another order. Nothing was done.`);
  }
}

/** @param payment the payment that a change names; undefined where the merchant has none of that name */
export function decideOrder(
  order: AcquirerOrder,
  payment: AcquirerPayment | undefined,
): OrderDecision {
  const name = order.kind === 'charge' ? `acq_${randomUUID()}` : order.payment;
  const declined = declineOf(order, payment);
  if (declined) return { result: declined, payment: name };
  const reference = order.kind === 'refund' ? `acr_${randomUUID()}` : name;
  const result = { outcome: 'approved', reference } as const;
  return { result, payment: name, paymentAfter: applyOrder(order, payment) };
}

/**
 * Returns the payment after an approved order.
 * @throws Error for a change of a payment that is not there
 */
export function applyOrder(
  order: AcquirerOrder,
  payment: AcquirerPayment | undefined,
): AcquirerPayment {
  if (order.kind === 'charge') {
    const { currency, amount, capture } = order;
    const captured = capture ? amount : 0;
    return { currency, authorized: amount, captured, refunded: 0, open: !capture };
  }
  if (!payment) throw new Error(`There is no payment ${order.payment}.`);
  switch (order.kind) {
    case 'capture':
      return { ...payment, captured: order.amount, open: false };
    case 'refund':
      return { ...payment, refunded: payment.refunded + order.amount };
    case 'cancel':
      return { ...payment, open: false };
  }
}

/** Compares the orders of one remote key. Metadata may differ. */
export function isSameOrder(first: AcquirerOrder, second: AcquirerOrder): boolean {
  if (first.kind !== second.kind || first.amount !== second.amount) return false;
  if (first.kind !== 'charge') return first.payment === (second as ChangeOrder).payment;
  const { currency, card, capture } = second as PaymentOrder;
  return first.currency === currency && first.card === card && first.capture === capture;
}

/** Undefined for an order that is approved. */
function declineOf(
  order: AcquirerOrder,
  payment: AcquirerPayment | undefined,
): DeclinedOrder | undefined {
  switch (order.kind) {
    case 'charge': {
      const card = sandboxCard(order.card);
      if (!card) return decline('invalid_card', 'The sandbox has no card of that name.');
      return card.decline && { outcome: 'declined', ...card.decline };
    }
    case 'capture':
      if (payment?.open && payment.authorized >= order.amount) return undefined;
      return decline('capture_refused', 'There is no open authorisation of at least this amount.');
    case 'refund':
      if (payment && payment.captured - payment.refunded >= order.amount) return undefined;
      return decline('refund_refused', 'This is more than what was captured and not yet refunded.');
    case 'cancel':
      if (payment?.open) return undefined;
      return decline('cancel_refused', 'There is no open authorisation to release.');
  }
}

function decline(code: string, message: string): DeclinedOrder {
  return { outcome: 'declined', code, declineCode: null, message };
}
