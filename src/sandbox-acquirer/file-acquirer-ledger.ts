/** The acquirer ledger in a file of JSON lines, for the acquirer in a process of its own. */
import type { AcquirerLedger, AcquirerLedgerEntry, KeyedOrder } from './acquirer-ledger';
import { AcquirerLedgerError, AppendOnlyFile } from './append-only-file';
import type { OrderResult } from './order-result';
import {
  type AcquirerOrder,
  type AcquirerPayment,
  applyOrder,
  decideOrder,
  isSameOrder,
  type OrderDecision,
  type OrderMetadata,
  type PaymentOrder,
  RemoteKeyConflictError,
} from './rules';

/** One line of the file: an order and its result. */
export interface AcquirerLedgerLine {
  readonly merchant: string;
  readonly remoteKey: string;
  readonly kind: AcquirerOrder['kind'];
  readonly payment: string;
  readonly amount: number;
  /** Of the payment; null where a change named a payment that is not there. */
  readonly currency: string | null;
  /** Of charges alone, as `card` is. */
  readonly capture?: boolean;
  readonly card?: string;
  readonly metadata?: OrderMetadata;
  readonly outcome: OrderResult['outcome'];
  /** Of declines alone, as `declineCode` and `message` are. */
  readonly code?: string;
  readonly declineCode?: string | null;
  readonly message?: string;
  /** The reference of an approval; null for a decline. */
  readonly reference: string | null;
  /** ISO 8601. */
  readonly at: string;
}

interface ExecutedOrder {
  readonly line: AcquirerLedgerLine;
  /** Resolves once the line is on disk. Nobody is told of it before. */
  readonly durable: Promise<void>;
}

/**
 * Memory holds all that follows from the file. One process has the file, and it decides and appends an
 * order in one turn of its event loop, so no two orders cross.
 */
export class FileAcquirerLedger implements AcquirerLedger {
  private readonly executed = new Map<string, ExecutedOrder>();
  private readonly payments = new Map<string, AcquirerPayment>();
  /** Resolves once the newest line is on disk, and with it all lines before. */
  private newestDurable = Promise.resolve();
  private file!: AppendOnlyFile;

  private constructor() {}

  /** @throws AcquirerLedgerError, with a sentence for the operator, where the file cannot be used */
  static async open(path: string): Promise<FileAcquirerLedger> {
    const ledger = new FileAcquirerLedger();
    const durable = Promise.resolve();
    ledger.file = await AppendOnlyFile.open(path, (text, number) => {
      try {
        ledger.remember({ line: parseLine(text), durable });
      } catch (error) {
        const { message } = error as Error;
        throw new AcquirerLedgerError(
          `Line ${number} of the ledger ${path} makes no sense: ${message}`,
        );
      }
    });
    return ledger;
  }

  get path(): string {
    return this.file.path;
  }

  /** Calls the listener, once, when the file cannot be written: from then on memory and file differ. */
  onFailure(listener: (error: AcquirerLedgerError) => void): void {
    this.file.onFailure(listener);
  }

  async executeOnce(
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder,
  ): Promise<OrderResult> {
    const before = this.executed.get(mapKey(merchant, remoteKey));
    if (before) {
      if (!isSameOrder(orderOf(before.line), order)) throw new RemoteKeyConflictError(remoteKey);
      await before.durable;
      return resultOf(before.line);
    }
    const payment =
      order.kind === 'charge' ? undefined : this.payments.get(mapKey(merchant, order.payment));
    const decision = decideOrder(order, payment);
    const line = lineOf({ merchant, remoteKey, order }, decision, payment);
    this.newestDurable = this.file.append(JSON.stringify(line));
    this.remember({ line, durable: this.newestDurable });
    await this.newestDurable;
    return decision.result;
  }

  async lookUp(merchant: string, remoteKey: string): Promise<OrderResult | undefined> {
    const executed = this.executed.get(mapKey(merchant, remoteKey));
    await executed?.durable;
    return executed && resultOf(executed.line);
  }

  async balance(merchant: string, currency: string): Promise<number> {
    await this.newestDurable;
    let balance = 0;
    for (const { line } of this.executed.values()) {
      if (line.kind !== 'charge' || line.merchant !== merchant || line.currency !== currency) {
        continue;
      }
      const payment = this.payments.get(mapKey(merchant, line.payment));
      if (payment) balance += payment.captured - payment.refunded;
    }
    return balance;
  }

  async entries(merchant: string): Promise<AcquirerLedgerEntry[]> {
    await this.newestDurable;
    return [...this.executed.values()]
      .map(({ line }) => line)
      .filter((line) => line.merchant === merchant && line.outcome === 'approved')
      .map(({ kind, payment, amount, remoteKey }) => ({ kind, payment, amount, remoteKey }));
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private remember(executed: ExecutedOrder): void {
    const { line } = executed;
    const key = mapKey(line.merchant, line.remoteKey);
    if (this.executed.has(key)) throw new Error(`the remote key ${line.remoteKey} is there twice.`);
    if (line.outcome === 'approved') {
      const payment = mapKey(line.merchant, line.payment);
      this.payments.set(payment, applyOrder(orderOf(line), this.payments.get(payment)));
    }
    this.executed.set(key, executed);
  }
}

/** Merchants choose their names and keys freely, so a separator alone would not do. */
function mapKey(merchant: string, name: string): string {
  return `${merchant.length} ${merchant} ${name}`;
}

/** Checks the fields that the acquirer ledger relies on. */
function parseLine(text: string): AcquirerLedgerLine {
  const line = JSON.parse(text) as AcquirerLedgerLine;
  const { merchant, remoteKey, payment, kind, amount, outcome } = line;
  const hasNames = [merchant, remoteKey, payment].every((name) => typeof name === 'string');
  const isKnown =
    ['charge', 'capture', 'refund', 'cancel'].includes(kind) &&
    ['approved', 'declined'].includes(outcome);
  if (!hasNames || !isKnown || !Number.isSafeInteger(amount)) throw new Error('not an entry.');
  return line;
}

function orderOf(line: AcquirerLedgerLine): AcquirerOrder {
  const { kind, payment, amount } = line;
  return kind === 'charge' ? (line as PaymentOrder) : { kind, payment, amount };
}

function resultOf(line: AcquirerLedgerLine): OrderResult {
  if (line.outcome === 'approved') return { outcome: 'approved', reference: line.reference ?? '' };
  const { code = '', declineCode = null, message = '' } = line;
  return { outcome: 'declined', code, declineCode, message };
}

function lineOf(
  { merchant, remoteKey, order }: KeyedOrder,
  { result, payment: name }: OrderDecision,
  payment: AcquirerPayment | undefined,
): AcquirerLedgerLine {
  const { kind, amount, metadata = {} } = order;
  return {
    merchant,
    remoteKey,
    kind,
    payment: name,
    amount,
    ...(order.kind === 'charge'
      ? { currency: order.currency, capture: order.capture, card: order.card }
      : { currency: payment?.currency ?? null }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
    reference: null,
    ...result,
    at: new Date().toISOString(),
  };
}
