/** What the examples of docs/guides/retrying.md know of the shop that they stand in. */

export interface Order {
  readonly id: string;
  /** In the currency's smallest unit. */
  readonly amount: number;
  readonly paymentMethod: string;
}
