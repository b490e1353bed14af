/**
 * The invariants of docs/RELIABILITY.md, over what a run left behind. Pure: whoever calls it waits,
 * after the end of the faults, as long as I3 grants, and no longer.
 */
import type {
  ChargeRow,
  ClientRecord,
  LedgerEntry,
  Order,
  RefundRow,
  SeenAnswer,
  Tables,
} from './evidence';

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6';

export interface Violation {
  readonly invariant: Invariant;
  readonly what: string;
}

export interface Evidence {
  readonly ledger: readonly LedgerEntry[];
  readonly tables: Tables;
  readonly clients: readonly ClientRecord[];
}

/** Every violation of every invariant. */
export function check(evidence: Evidence): Violation[] {
  const books = new Books(evidence);
  return [
    ...atMostOneEffect(evidence, books).map((what) => ({ invariant: 'I1' as const, what })),
    ...answersHaveEntries(evidence, books).map((what) => ({ invariant: 'I2' as const, what })),
    ...entriesBecomeFinal(evidence, books).map((what) => ({ invariant: 'I3' as const, what })),
    ...oneAnswerEach(evidence).map((what) => ({ invariant: 'I4' as const, what })),
    ...nothingUnfinished(evidence).map((what) => ({ invariant: 'I5' as const, what })),
    ...balancesAgree(evidence, books).map((what) => ({ invariant: 'I6' as const, what })),
  ];
}

/** Whether an answer is one that may be stored: the last word on its key (R13, R14). */
export function isFinal({ status, body }: SeenAnswer): boolean {
  if (status >= 500 || status === 429 || status === 408 || status === 425) return false;
  return status !== 409 || !body.includes('idempotency_key_in_use');
}

/** What an answer's body says of what was done. */
interface AnswerObject {
  readonly object?: string;
  readonly id?: string;
  readonly status?: string;
  readonly latest_charge?: string | null;
}

/** The evidence by the names that tie its three parts together. */
class Books {
  readonly approved: readonly LedgerEntry[];
  readonly charges: ReadonlyMap<string, ChargeRow>;
  readonly chargesByReference: ReadonlyMap<string, ChargeRow[]>;
  readonly refunds: ReadonlyMap<string, RefundRow>;
  readonly refundsByReference: ReadonlyMap<string, RefundRow[]>;
  readonly customers: ReadonlySet<string>;
  /** The names of all that clients asked for, as `orderOf` names what was done. */
  readonly ordered: ReadonlySet<string>;
  /** Amounts of the payments, by the acquirer's name for them. */
  readonly #amounts: ReadonlyMap<string, number>;
  readonly #byOrder: ReadonlyMap<string, LedgerEntry[]>;
  readonly #changes: ReadonlyMap<string, LedgerEntry[]>;

  constructor({ ledger, tables, clients }: Evidence) {
    this.approved = ledger.filter(({ outcome }) => outcome === 'approved');
    this.#amounts = new Map(
      this.approved
        .filter(({ kind }) => kind === 'charge')
        .map(({ merchant, payment, amount }) => [nameOf(merchant, payment), amount]),
    );
    this.#byOrder = grouped(this.approved, (entry) => this.orderOf(entry));
    this.#changes = grouped(
      this.approved.filter(({ kind }) => kind === 'capture' || kind === 'cancel'),
      ({ merchant, payment }) => nameOf(merchant, payment),
    );
    this.charges = new Map(tables.charges.map((row) => [nameOf(row.account, row.id), row]));
    this.chargesByReference = grouped(tables.charges, (row) => nameOf(row.account, row.reference));
    this.refunds = new Map(tables.refunds.map((row) => [nameOf(row.account, row.id), row]));
    this.refundsByReference = grouped(tables.refunds, (row) => nameOf(row.account, row.reference));
    this.customers = new Set(tables.customers.map(({ account, id }) => nameOf(account, id)));
    this.ordered = new Set(clients.map(({ order }) => nameOfOrder(order)));
  }

  /** The name of the order that an entry fulfils: kind, account and amount. */
  orderOf({ kind, merchant, payment, amount }: LedgerEntry): string {
    const named = kind === 'cancel' ? this.#amounts.get(nameOf(merchant, payment)) : amount;
    return nameOf(kind, merchant, named);
  }

  entriesOf(order: Order): readonly LedgerEntry[] {
    return this.#byOrder.get(nameOfOrder(order)) ?? [];
  }

  /** Where all that the acquirer did leaves a payment. */
  statusDue({ merchant, payment, capture }: LedgerEntry): string {
    const [change] = this.#changes.get(nameOf(merchant, payment)) ?? [];
    if (change) return change.kind === 'cancel' ? 'canceled' : 'succeeded';
    return capture === false ? 'requires_capture' : 'succeeded';
  }
}

/** A confirm is a charge to the acquirer. */
const nameOfOrder = ({ effect, account, amount }: Order): string =>
  nameOf(effect === 'confirm' ? 'charge' : effect, account, amount);

/** Whether an entry of its name can only be its own: several confirms may try the same payment. */
const isAlone = ({ effect }: Order): boolean => effect !== 'confirm' && effect !== 'open';

/** I1: one key, at most one effect: in the ledger, and in the tables. */
function atMostOneEffect({ ledger, tables }: Evidence, books: Books): string[] {
  const found: string[] = [];
  const expect = <T>(what: string, rows: readonly T[], name: (row: T) => string) => {
    for (const [key, same] of grouped(rows, name)) {
      if (same.length > 1) found.push(`${same.length} ${what} for ${key}`);
    }
  };
  const byAmount = (row: { account: string; amount: number }) => nameOf(row.account, row.amount);
  expect('ledger lines', ledger, ({ merchant, remoteKey }) => nameOf(merchant, remoteKey));
  for (const kind of ['charge', 'capture', 'cancel', 'refund'] as const) {
    const entries = books.approved.filter((entry) => entry.kind === kind);
    expect(`${kind}s in the ledger`, entries, (entry) => books.orderOf(entry));
    for (const name of new Set(entries.map((entry) => books.orderOf(entry)))) {
      if (!books.ordered.has(name)) found.push(`a ${kind} that nobody asked for: ${name}`);
    }
  }
  for (const kind of ['capture', 'cancel'] as const) {
    const entries = books.approved.filter((entry) => entry.kind === kind);
    expect(`${kind}s of one payment`, entries, (line) => nameOf(line.merchant, line.payment));
  }
  expect('payment intents', tables.intents, byAmount);
  expect('refunds', tables.refunds, byAmount);
  expect('customers', tables.customers, ({ account, name }) => nameOf(account, name));
  return found;
}

/** I2: every 2xx has exactly one entry, an error has none, and every entry has its payment. */
function answersHaveEntries({ clients }: Evidence, books: Books): string[] {
  const found: string[] = [];
  for (const { order, answers } of clients) {
    for (const answer of unlike(answers)) {
      const wrong =
        answer.status < 300
          ? unproven(order, JSON.parse(answer.body) as AnswerObject, books)
          : isFinal(answer) && isAlone(order) && books.entriesOf(order).length > 0;
      if (wrong)
        found.push(`${order.key} saw ${answer.status}, which the ledger does not bear out`);
    }
  }
  for (const entry of books.approved) {
    const name = nameOf(entry.merchant, referenceOf(entry));
    const rows = entry.kind === 'refund' ? books.refundsByReference : books.chargesByReference;
    if (rows.get(name)?.length !== 1) {
      found.push(
        `${entry.kind} ${name} of ${entry.amount} has ${rows.get(name)?.length ?? 0} rows`,
      );
    }
  }
  return found;
}

/** Whether a 2xx says anything else than the ledger and the tables do. */
function unproven(order: Order, body: AnswerObject, books: Books): boolean {
  const { account } = order;
  const entries = books.entriesOf(order);
  const entered = (reference: string | null | undefined) =>
    entries.length === 1 && entries[0] !== undefined && referenceOf(entries[0]) === reference;
  if (body.object === 'customer') return !books.customers.has(nameOf(account, body.id));
  if (body.object === 'refund') {
    const row = books.refunds.get(nameOf(account, body.id));
    return body.status === 'succeeded' ? !entered(row?.reference) : !row || entries.length > 0;
  }
  // An intent that is only open, or that asks its buyer to authenticate, moved nothing.
  if (!STATUS_AFTER[order.effect]?.includes(body.status ?? '')) {
    return (
      order.effect === 'capture' ||
      order.effect === 'cancel' ||
      (isAlone(order) && entries.length > 0)
    );
  }
  const id = body.object === 'charge' ? body.id : body.latest_charge;
  return !entered(books.charges.get(nameOf(account, id))?.reference);
}

/** What a payment says of itself once what was ordered is done. */
const STATUS_AFTER: Partial<Record<Order['effect'], readonly string[]>> = {
  charge: ['succeeded', 'requires_capture'],
  confirm: ['succeeded', 'requires_capture'],
  capture: ['succeeded'],
  cancel: ['canceled'],
};

/** I3: every entry has become a final payment, and no payment is left in between. */
function entriesBecomeFinal({ tables }: Evidence, books: Books): string[] {
  const found: string[] = [];
  const between = (what: string, rows: readonly { id: string; status: string }[]) => {
    for (const { id, status } of rows) {
      if (status === 'processing' || status === 'pending') found.push(`${what} ${id} is ${status}`);
    }
  };
  between('intent', tables.intents);
  between('charge', tables.charges);
  between('refund', tables.refunds);
  const intents = grouped(tables.intents, ({ account, amount }) => nameOf(account, amount));
  for (const entry of books.approved) {
    const { kind, merchant, amount } = entry;
    if (kind === 'refund') {
      const [row] = books.refundsByReference.get(nameOf(merchant, entry.reference)) ?? [];
      if (row?.status !== 'succeeded') found.push(`the refund of ${amount} is not final`);
    } else if (kind === 'charge') {
      const [row] = intents.get(nameOf(merchant, amount)) ?? [];
      const due = books.statusDue(entry);
      if (row && row.status !== due)
        found.push(`the payment of ${amount} is ${row.status}, not ${due}`);
    } else {
      const [row] = books.chargesByReference.get(nameOf(merchant, entry.payment)) ?? [];
      const done = kind === 'cancel' ? row?.released : row?.amountCaptured === amount;
      if (!done) found.push(`the ${kind} of ${entry.payment} is not on its charge`);
    }
  }
  return found;
}

/** I4: all stored answers to one key are the same bytes, and those of the key's row. */
function oneAnswerEach({ clients, tables }: Evidence): string[] {
  const found: string[] = [];
  const rows = new Map(tables.keys.map((row) => [nameOf(row.account, row.key), row]));
  for (const { order, answers } of clients) {
    const stored = unlike(answers.filter((answer) => isStored(answer)));
    if (stored.length > 1) found.push(`${order.key} was given ${stored.length} different answers`);
    const [seen] = stored;
    const row = rows.get(nameOf(order.account, order.key));
    if (!seen) continue;
    if (!row) found.push(`${order.key} was answered ${seen.status}, and nothing is stored`);
    else if (row.status !== null && (row.status !== seen.status || row.body !== seen.body)) {
      found.push(`${order.key} is stored with another answer than its client saw`);
    }
  }
  return found;
}

/** A final answer that came from behind the key; what a guard or a pipe refuses is not stored. */
const isStored = (answer: SeenAnswer): boolean =>
  isFinal(answer) && answer.status !== 401 && answer.headers['original-request'] !== undefined;

/** I5: no key is unfinished, and no client that insists is without its answer. */
function nothingUnfinished({ tables, clients }: Evidence): string[] {
  return [
    ...tables.keys
      .filter(({ status }) => status === null)
      .map(({ key, attempt }) => `${key} is unfinished after ${attempt} attempts`),
    ...clients
      .filter(({ gone, answers }) => !gone && !answers.some(isFinal))
      .map(({ order, answers }) => `${order.key} has no final answer, only ${told(answers)}`),
  ];
}

/** I6: payments less refunds are the acquirer's balance, for each account. */
function balancesAgree({ tables }: Evidence, { approved }: Books): string[] {
  const owed = new Map<string, number>();
  const said = new Map<string, number>();
  const add = (sums: Map<string, number>, account: string, amount: number) =>
    sums.set(account, (sums.get(account) ?? 0) + amount);
  for (const { kind, merchant, amount, capture } of approved) {
    if (kind === 'capture' || (kind === 'charge' && capture !== false)) add(owed, merchant, amount);
    if (kind === 'refund') add(owed, merchant, -amount);
  }
  for (const { account, amountCaptured } of tables.charges) add(said, account, amountCaptured);
  for (const { account, amount, status } of tables.refunds) {
    if (status === 'succeeded') add(said, account, -amount);
  }
  return [...new Set([...owed.keys(), ...said.keys()])]
    .filter((account) => (owed.get(account) ?? 0) !== (said.get(account) ?? 0))
    .map(
      (account) => `${account}: ${said.get(account) ?? 0} here, ${owed.get(account) ?? 0} there`,
    );
}

/** One of each kind of answer: replays are many. */
function unlike(answers: readonly SeenAnswer[]): SeenAnswer[] {
  return [
    ...new Map(answers.map((answer) => [`${answer.status} ${answer.body}`, answer])).values(),
  ];
}

function told(answers: readonly SeenAnswer[]): string {
  return [...new Set(answers.map(({ status }) => status))].join(', ') || 'silence';
}

/** What the acquirer calls the outcome: a charge by its payment, a refund by a name of its own. */
const referenceOf = ({ kind, payment, reference }: LedgerEntry): string =>
  kind === 'refund' ? (reference ?? '') : payment;

const nameOf = (...parts: readonly unknown[]): string => parts.map(String).join(' ');

function grouped<T>(rows: readonly T[], name: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = name(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}
