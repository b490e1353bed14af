import type { AcquirerLedger, AcquirerLedgerEntry } from './acquirer-ledger';
import {
  applyOrder,
  decideOrder,
  type OrderDecision,
  type AcquirerPayment,
  type OrderMetadata,
  type PaymentOrder,
  type AcquirerOrder,
  RemoteKeyConflictError,
  sameOrder,
} from './rules';
import type { OrderResult } from './order-result';
import { AcquirerLedgerError, AppendOnlyFile } from './append-only-file';

/** One line of the ledger: what came of one remote key. */
export interface AcquirerLedgerLine {
  readonly merchant: string;
  readonly remoteKey: string;
  readonly kind: AcquirerOrder['kind'];
  readonly payment: string;
  readonly amount: number;
  /** Of the payment; null where a change named none that is there. */
  readonly currency: string | null;
  /** Of charges alone, as `card` is. */
  readonly capture?: boolean;
  readonly card?: string;
  readonly metadata?: OrderMetadata;
  readonly outcome: OrderResult['outcome'];
  /** Of refusals alone, as `declineCode` and `message` are. */
  readonly code?: string;
  readonly declineCode?: string | null;
  readonly message?: string;
  /** The name that an approval was answered with; null for a refusal. */
  readonly reference: string | null;
  /** ISO 8601. */
  readonly at: string;
}

interface Remembered {
  readonly line: AcquirerLedgerLine;
  /** Resolves once the line is on disk: nobody is told of it before. */
  readonly durable: Promise<void>;
}

/**
 * The books in a ledger file, and in memory what follows from it. One process has them, and an order
 * is decided and written down in one turn of its event loop, so that no two orders ever cross.
 */
export class FileAcquirerLedger implements AcquirerLedger {
  private readonly remembered = new Map<string, Remembered>();
  private readonly payments = new Map<string, AcquirerPayment>();
  /** When the newest line is on disk, and with it all before. */
  private newest = Promise.resolve();
  private file!: AppendOnlyFile;

  private constructor() {}

  /** @throws LedgerError, in words for the operator, where the file cannot be used as a ledger */
  static async open(path: string): Promise<FileAcquirerLedger> {
    const books = new FileAcquirerLedger();
    const durable = Promise.resolve();
    books.file = await AppendOnlyFile.open(path, (text, number) => {
      try {
        books.enter({ line: checked(JSON.parse(text)), durable });
      } catch (error) {
        const { message } = error as Error;
        throw new AcquirerLedgerError(
          `Line ${number} of the ledger ${path} makes no sense: ${message}`,
        );
      }
    });
    return books;
  }

  get path(): string {
    return this.file.path;
  }

  /** Is told, once, that the file could not be written: memory and file differ from then on. */
  onFailure(listener: (error: AcquirerLedgerError) => void): void {
    this.file.onFailure(listener);
  }

  async executeOnce(
    merchant: string,
    remoteKey: string,
    order: AcquirerOrder,
  ): Promise<OrderResult> {
    const before = this.remembered.get(nameOf(merchant, remoteKey));
    if (before) {
      if (!sameOrder(orderOf(before.line), order)) throw new RemoteKeyConflictError(remoteKey);
      await before.durable;
      return answerOf(before.line);
    }
    const held =
      order.kind === 'charge' ? undefined : this.payments.get(nameOf(merchant, order.payment));
    const decision = decideOrder(order, held);
    const line = lineOf(merchant, remoteKey, order, decision, held);
    this.newest = this.file.append(JSON.stringify(line));
    this.enter({ line, durable: this.newest });
    await this.newest;
    return decision.result;
  }

  async lookUp(merchant: string, remoteKey: string): Promise<OrderResult | undefined> {
    const found = this.remembered.get(nameOf(merchant, remoteKey));
    await found?.durable;
    return found && answerOf(found.line);
  }

  async balance(merchant: string, currency: string): Promise<number> {
    await this.newest;
    let balance = 0;
    for (const { line } of this.remembered.values()) {
      if (line.kind !== 'charge' || line.merchant !== merchant || line.currency !== currency) {
        continue;
      }
      const held = this.payments.get(nameOf(merchant, line.payment));
      if (held) balance += held.captured - held.refunded;
    }
    return balance;
  }

  async entries(merchant: string): Promise<AcquirerLedgerEntry[]> {
    await this.newest;
    return [...this.remembered.values()]
      .map(({ line }) => line)
      .filter((line) => line.merchant === merchant && line.outcome === 'approved')
      .map(({ kind, payment, amount, remoteKey }) => ({ kind, payment, amount, remoteKey }));
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private enter(entry: Remembered): void {
    const { line } = entry;
    const name = nameOf(line.merchant, line.remoteKey);
    if (this.remembered.has(name))
      throw new Error(`the remote key ${line.remoteKey} is there twice.`);
    if (line.outcome === 'approved') {
      const payment = nameOf(line.merchant, line.payment);
      this.payments.set(payment, applyOrder(orderOf(line), this.payments.get(payment)));
    }
    this.remembered.set(name, entry);
  }
}

/** Merchants choose their names and keys freely, so that no separator would do. */
function nameOf(merchant: string, name: string): string {
  return `${merchant.length} ${merchant} ${name}`;
}

/** A line as far as the books rely on it. */
function checked(line: unknown): AcquirerLedgerLine {
  const { merchant, remoteKey, payment, kind, amount, outcome } = line as AcquirerLedgerLine;
  const words = [merchant, remoteKey, payment].every((word) => typeof word === 'string');
  const isKnown =
    ['charge', 'capture', 'refund', 'cancel'].includes(kind) &&
    ['approved', 'declined'].includes(outcome);
  if (!words || !isKnown || !Number.isSafeInteger(amount)) throw new Error('not an entry.');
  return line as AcquirerLedgerLine;
}

function orderOf(line: AcquirerLedgerLine): AcquirerOrder {
  const { kind, payment, amount } = line;
  return kind === 'charge' ? (line as PaymentOrder) : { kind, payment, amount };
}

function answerOf(line: AcquirerLedgerLine): OrderResult {
  if (line.outcome === 'approved') return { outcome: 'approved', reference: line.reference ?? '' };
  const { code = '', declineCode = null, message = '' } = line;
  return { outcome: 'declined', code, declineCode, message };
}

function lineOf(
  merchant: string,
  remoteKey: string,
  order: AcquirerOrder,
  { result: answer, payment }: OrderDecision,
  held: AcquirerPayment | undefined,
): AcquirerLedgerLine {
  const { kind, amount, metadata = {} } = order;
  return {
    merchant,
    remoteKey,
    kind,
    payment,
    amount,
    ...(order.kind === 'charge'
      ? { currency: order.currency, capture: order.capture, card: order.card }
      : { currency: held?.currency ?? null }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
    reference: null,
    ...answer,
    at: new Date().toISOString(),
  };
}
