/** The result of an order to the sandbox acquirer: the money moved, or it did not. */

export interface ApprovedOrder {
  readonly outcome: 'approved';
  /** The acquirer's name for the payment, or for the refund. */
  readonly reference: string;
}

export interface DeclinedOrder {
  readonly outcome: 'declined';
  /** `card_declined`, `expired_card`, … */
  readonly code: string;
  /** The reason the issuer gave, where it gave one. */
  readonly declineCode: string | null;
  /** A sentence for people. */
  readonly message: string;
}

export type OrderResult = ApprovedOrder | DeclinedOrder;
