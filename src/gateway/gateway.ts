import type { Tenant } from '../database';
import type { RemoteOptions } from '../idempotency';

/** What every order has. */
interface AnyOrder {
  readonly tenant: Tenant;
  /** What the merchant wrote on the payment, or on the refund. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What an acquirer is asked to do. Amounts are integers in the currency's smallest unit. */
export interface ChargeOrder extends AnyOrder {
  readonly amount: number;
  /** Three lower-case letters of ISO 4217. */
  readonly currency: string;
  /** The acquirer's own name for the buyer's card: a token, never a card number. */
  readonly card: string;
  /** False only authorises: the amount is held until it is captured or cancelled. */
  readonly capture: boolean;
}

export interface CaptureOrder extends AnyOrder {
  /** The reference that `charge` answered. */
  readonly reference: string;
  /** At most what was authorised; the rest is released. */
  readonly amount: number;
}

export interface RefundOrder extends AnyOrder {
  /** The reference that `charge` answered. */
  readonly reference: string;
  readonly amount: number;
}

export interface CancelOrder extends AnyOrder {
  /** The reference that `charge` answered. */
  readonly reference: string;
}

export interface Approved {
  readonly outcome: 'approved';
  /** The acquirer's name for the payment, or for the refund. */
  readonly reference: string;
}

export interface Declined {
  readonly outcome: 'declined';
  /** `card_declined`, `expired_card`, … : `error.code` of the answer to the client. */
  readonly code: string;
  /** The reason the issuer gave, where it gave one: `error.decline_code`. */
  readonly declineCode: string | null;
  /** A sentence for people. */
  readonly message: string;
}

/** What the acquirer knows for certain: the money moved, or it did not. */
export type KnownOutcome = Approved | Declined;

/** `unknown` is neither success nor failure (R12): only asking again with the same remote key tells. */
export type GatewayOutcome = KnownOutcome | { readonly outcome: 'unknown' };

/**
 * What moves money. Every call carries a remote key that is the same on every attempt of one
 * operation, and the far side does at most one thing for one (tenant, remote key): that alone makes a
 * retry after a crash or a lost reply safe.
 *
 * A call may also throw (connection lost, aborted): that means `unknown` as well. An aborted call may
 * or may not have had its effect.
 */
export abstract class Gateway {
  /** How long the far side remembers remote keys, in milliseconds; past it nothing may be repeated (R12). */
  abstract readonly dedupeWindowMs: number;

  abstract charge(key: string, order: ChargeOrder, signal: AbortSignal): Promise<GatewayOutcome>;
  abstract capture(key: string, order: CaptureOrder, signal: AbortSignal): Promise<GatewayOutcome>;
  abstract refund(key: string, order: RefundOrder, signal: AbortSignal): Promise<GatewayOutcome>;
  /** Releases an authorisation that was not captured. */
  abstract cancel(key: string, order: CancelOrder, signal: AbortSignal): Promise<GatewayOutcome>;

  /** What came of a remote key, without doing anything; undefined where the far side never saw it. */
  abstract lookUp(
    key: string,
    tenant: Tenant,
    signal: AbortSignal,
  ): Promise<KnownOutcome | undefined>;

  /** What a remote phase must know of the far side's memory (R12). */
  memory(tenant: Tenant): RemoteOptions<KnownOutcome> {
    return {
      dedupeWindowMs: this.dedupeWindowMs,
      lookUp: (key, signal) => this.lookUp(key, tenant, signal),
    };
  }
}

/** The acquirer's outcome could not be learned; the same remote key is to be asked again. */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';

  constructor() {
    super('The acquirer did not say whether the operation took place.');
  }
}

/**
 * The outcome, if it is one.
 * @throws OutcomeUnknownError for `unknown`, which makes a remote phase end without a result
 */
export async function requireKnownOutcome(answer: Promise<GatewayOutcome>): Promise<KnownOutcome> {
  const outcome = await answer;
  if (outcome.outcome === 'unknown') throw new OutcomeUnknownError();
  return outcome;
}
