/**
 * The rules of the sandbox acquirer: what it answers to an order, and what a payment is afterwards.
 * They know neither where the books are kept nor how an order came.
 */
import { randomUUID } from 'node:crypto';
import type { DeclinedOrder, OrderResult } from './order-result';
import { sandboxCard } from './cards';

/** What a merchant wrote on the payment: nothing to the rules, but kept, and the faults listen to it. */
export type OrderMetadata = Readonly<Record<string, string>>;

/** Amounts are integers in the currency's smallest unit. */
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

/** What is asked of a payment that is there. */
export interface ChangeOrder {
  readonly kind: 'capture' | 'refund' | 'cancel';
  /** The reference that the charge was answered with. */
  readonly payment: string;
  /** 0 for `cancel`, which has none. */
  readonly amount: number;
  readonly metadata?: OrderMetadata;
}

export type AcquirerOrder = PaymentOrder | ChangeOrder;

/** How a payment stands. */
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
  /** How the payment stands from then on; undefined where nothing changes. */
  readonly paymentAfter?: AcquirerPayment;
}

/** A remote key came again with another order. The caller has a bug: nothing was done. */
export class RemoteKeyConflictError extends Error {
  override readonly name = 'RemoteKeyConflictError';

  constructor(remoteKey: string) {
    super(`Remote key ${remoteKey} was used before for another order. Nothing was done.`);
  }
}

/** @param held the payment that a change names, if the merchant has one of that name */
export function decideOrder(
  order: AcquirerOrder,
  held: AcquirerPayment | undefined,
): OrderDecision {
  const payment = order.kind === 'charge' ? `acq_${randomUUID()}` : order.payment;
  const refused = refusal(order, held);
  if (refused) return { result: refused, payment };
  const reference = order.kind === 'refund' ? `acr_${randomUUID()}` : payment;
  return {
    result: { outcome: 'approved', reference },
    payment,
    paymentAfter: applyOrder(order, held),
  };
}

/**
 * How a payment stands once an order was approved.
 * @throws Error for a change of a payment that is not there
 */
export function applyOrder(
  order: AcquirerOrder,
  held: AcquirerPayment | undefined,
): AcquirerPayment {
  if (order.kind === 'charge') {
    const { currency, amount, capture } = order;
    const captured = capture ? amount : 0;
    return { currency, authorized: amount, captured, refunded: 0, open: !capture };
  }
  if (!held) throw new Error(`There is no payment ${order.payment}.`);
  switch (order.kind) {
    case 'capture':
      return { ...held, captured: order.amount, open: false };
    case 'refund':
      return { ...held, refunded: held.refunded + order.amount };
    case 'cancel':
      return { ...held, open: false };
  }
}

/** Whether a remote key that comes again asks for what it asked for before. */
export function sameOrder(before: AcquirerOrder, now: AcquirerOrder): boolean {
  if (before.kind !== now.kind || before.amount !== now.amount) return false;
  if (before.kind !== 'charge') return before.payment === (now as ChangeOrder).payment;
  const { currency, card, capture } = now as PaymentOrder;
  return before.currency === currency && before.card === card && before.capture === capture;
}

function refusal(
  order: AcquirerOrder,
  held: AcquirerPayment | undefined,
): DeclinedOrder | undefined {
  switch (order.kind) {
    case 'charge': {
      const card = sandboxCard(order.card);
      if (!card) return declined('invalid_card', 'The sandbox has no card of that name.');
      return card.decline && { outcome: 'declined', ...card.decline };
    }
    case 'capture':
      if (held?.open && held.authorized >= order.amount) return undefined;
      return declined('capture_refused', 'There is no open authorisation of at least this amount.');
    case 'refund':
      if (held && held.captured - held.refunded >= order.amount) return undefined;
      return declined(
        'refund_refused',
        'This is more than what was captured and not yet refunded.',
      );
    case 'cancel':
      if (held?.open) return undefined;
      return declined('cancel_refused', 'There is no open authorisation to release.');
  }
}

function declined(code: string, message: string): DeclinedOrder {
  return { outcome: 'declined', code, declineCode: null, message };
}
