/** The port to the acquirer ledger: every order of the sandbox acquirer, with its result. */
import type { OrderResult } from './order-result';
import type { AcquirerOrder } from './rules';

/** An order under its remote key. */
export interface KeyedOrder {
  readonly merchant: string;
  readonly remoteKey: string;
  readonly order: AcquirerOrder;
}

/** An approved order in the acquirer ledger. */
export interface AcquirerLedgerEntry {
  readonly kind: AcquirerOrder['kind'];
  /** The acquirer's name for the payment. */
  readonly payment: string;
  /** In the currency's smallest unit. */
  readonly amount: number;
  readonly remoteKey: string;
}

/**
 * `rules.ts` decides an order. An acquirer ledger makes sure that there is one decision for one
 * (merchant, remote key), and that it is durable before anybody is told.
 */
export interface AcquirerLedger {
  /**
   * Executes an order if its remote key is new, else returns the result of the first time, declines
   * included. A duplicate that arrives while the first is in progress waits for it.
   *
   * @throws RemoteKeyConflictError where the key was used for another order
   */
  executeOnce(merchant: string, remoteKey: string, order: AcquirerOrder): Promise<OrderResult>;

  /** The result of a remote key; undefined for a key that was never used. */
  lookUp(merchant: string, remoteKey: string): Promise<OrderResult | undefined>;

  /** Captured less refunded, in the currency's smallest unit. */
  balance(merchant: string, currency: string): Promise<number>;

  /** All approved orders, oldest first. */
  entries(merchant: string): Promise<AcquirerLedgerEntry[]>;

  close(): Promise<void>;
}
