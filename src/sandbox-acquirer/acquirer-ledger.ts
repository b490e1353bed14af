import type { AcquirerOrder } from './rules';
import type { OrderResult } from './order-result';

/** One line of the acquirer's books: an operation that was approved. */
export interface AcquirerLedgerEntry {
  readonly kind: AcquirerOrder['kind'];
  readonly payment: string;
  readonly amount: number;
  readonly remoteKey: string;
}

/**
 * Where the sandbox acquirer keeps what it has done. `acquirer.rules.ts` decides; the books see to it
 * that there is one decision for one (merchant, remote key), and that it is durable before it is told.
 */
export interface AcquirerLedger {
  /**
   * Does what is ordered if this remote key is new, and hands back the remembered answer if it is not,
   * refusals included. A duplicate that comes while the first is still at it waits for it.
   * @throws RemoteKeyConflictError when the key was used for another order
   */
  executeOnce(merchant: string, remoteKey: string, order: AcquirerOrder): Promise<OrderResult>;

  /** The answer given to a remote key, if it was ever seen. */
  lookUp(merchant: string, remoteKey: string): Promise<OrderResult | undefined>;

  /** Captured less refunded, in the currency's smallest unit. */
  balance(merchant: string, currency: string): Promise<number>;

  /** Everything approved, oldest first. */
  entries(merchant: string): Promise<AcquirerLedgerEntry[]>;

  close(): Promise<void>;
}
