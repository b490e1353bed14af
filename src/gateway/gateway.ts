/** The port to an acquirer: the orders it takes, the outcomes it reports, and what every adapter promises. */
import type { Tenant } from '../database';

/** What every order has. */
interface AnyOrder {
  readonly tenant: Tenant;
  /** What the merchant wrote on the payment, or on the refund. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** An order to charge a card. Amounts are integers in the currency's smallest unit. */
export interface ChargeOrder extends AnyOrder {
  readonly amount: number;
  /** Three lower-case letters of ISO 4217. */
  readonly currency: string;
  /** The acquirer's own name for the buyer's card: a token, never a card number. */
  readonly card: string;
  /** False only authorises: the amount is held until it is captured or cancelled. */
  readonly capture: boolean;
}

/** An order to capture an authorised payment. */
export interface CaptureOrder extends AnyOrder {
  /** The reference of the approved charge. */
  readonly reference: string;
  /** At most the authorised amount; the rest is released. */
  readonly amount: number;
}

/** An order to pay back a captured payment, or a part of it. */
export interface RefundOrder extends AnyOrder {
  /** The reference of the approved charge. */
  readonly reference: string;
  readonly amount: number;
}

/** An order to release an authorised payment that was not captured. */
export interface CancelOrder extends AnyOrder {
  /** The reference of the approved charge. */
  readonly reference: string;
}

/** The orders an acquirer takes, by kind. */
export interface Orders {
  readonly charge: ChargeOrder;
  readonly capture: CaptureOrder;
  readonly refund: RefundOrder;
  readonly cancel: CancelOrder;
}

/** One method for each kind of order. */
export type OrderMethods = {
  [Kind in keyof Orders]: (
    key: string,
    order: Orders[Kind],
    signal: AbortSignal,
  ) => Promise<GatewayOutcome>;
};

/** The acquirer executed the order. */
export interface Approved {
  readonly outcome: 'approved';
  /** The acquirer's name for the payment, or for the refund. */
  readonly reference: string;
}

/** The acquirer, or the bank that issued the card, refused the order. No money moved. */
export interface Declined {
  readonly outcome: 'declined';
  /** `card_declined`, `expired_card`, …: `error.code` in the response to the client. */
  readonly code: string;
  /** The reason the issuer gave, where it gave one: `error.decline_code`. */
  readonly declineCode: string | null;
  /** A sentence for people. */
  readonly message: string;
}

/** An outcome that is certain: the money moved, or it did not. */
export type KnownOutcome = Approved | Declined;

/** `unknown` is neither success nor failure (R12): only the same remote key, sent again, tells which. */
export type GatewayOutcome = KnownOutcome | { readonly outcome: 'unknown' };

/** What an acquirer shows of the card behind one of its tokens. */
export interface CardDescription {
  /** The acquirer's own name for the card: the `card` of a `ChargeOrder`. */
  readonly card: string;
  /** Lower case: `visa`, `mastercard`, … */
  readonly brand: string;
  /** Two upper-case letters of ISO 3166-1. */
  readonly country: string;
  /** 1 to 12. */
  readonly expMonth: number;
  /** Four digits. */
  readonly expYear: number;
  /** The same for the same card, however often it is used. */
  readonly fingerprint: string;
  readonly funding: 'credit' | 'debit' | 'prepaid';
  readonly last4: string;
}

/**
 * An acquirer. Every order carries a remote key, which stays the same on every attempt of one
 * operation. The acquirer does at most one thing for one (tenant, remote key): that alone makes a retry
 * safe after a crash or a lost reply.
 *
 * A call may also throw, when the connection is lost or the signal is aborted. That means `unknown` as
 * well: the order may or may not have had its effect.
 */
export abstract class Gateway implements OrderMethods {
  /** How long the acquirer remembers remote keys, ms. After it no order may be repeated (R12). */
  abstract readonly dedupeWindowMs: number;

  abstract charge(key: string, order: ChargeOrder, signal: AbortSignal): Promise<GatewayOutcome>;
  abstract capture(key: string, order: CaptureOrder, signal: AbortSignal): Promise<GatewayOutcome>;
  abstract refund(key: string, order: RefundOrder, signal: AbortSignal): Promise<GatewayOutcome>;
  abstract cancel(key: string, order: CancelOrder, signal: AbortSignal): Promise<GatewayOutcome>;

  /**
   * Looks up the outcome of a remote key; nothing is done. Undefined for a key the acquirer never saw.
   * @throws OutcomeUnknownError where the acquirer does not respond
   */
  abstract lookUp(
    key: string,
    tenant: Tenant,
    signal: AbortSignal,
  ): Promise<KnownOutcome | undefined>;

  /**
   * Describes the card that a token of the acquirer stands for. Undefined for any other text. Reads the
   * token alone and calls nobody, so it may be used inside a transaction.
   */
  abstract describeCard(token: string): CardDescription | undefined;
}

/** The outcome of an order could not be learned. The same remote key has to be sent again. */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';

  constructor() {
    super('The acquirer did not say whether the operation took place.');
  }
}

/**
 * Returns the outcome if it is certain.
 * @throws OutcomeUnknownError for `unknown`: a remote phase then ends without a result
 */
export function requireKnownOutcome(outcome: GatewayOutcome): KnownOutcome {
  if (outcome.outcome === 'unknown') throw new OutcomeUnknownError();
  return outcome;
}
