/**
 * Checks the invariants of docs/RELIABILITY.md against the evidence of a run. It is pure: the caller waits,
 * after the end of the faults, as long as I3 allows.
 */
import type {
  ChargeRow,
  ClientRecord,
  LedgerEntry,
  Order,
  RefundRow,
  SeenResponse,
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

/** Finds every violation of every invariant. */
export function check(evidence: Evidence): Violation[] {
  const index = new EvidenceIndex(evidence);
  return [
    ...atMostOneEffect(evidence, index).map((what) => ({ invariant: 'I1' as const, what })),
    ...responsesHaveEntries(evidence, index).map((what) => ({ invariant: 'I2' as const, what })),
    ...entriesBecomeFinal(evidence, index).map((what) => ({ invariant: 'I3' as const, what })),
    ...oneResponseEach(evidence).map((what) => ({ invariant: 'I4' as const, what })),
    ...nothingUnfinished(evidence).map((what) => ({ invariant: 'I5' as const, what })),
    ...balancesAgree(evidence, index).map((what) => ({ invariant: 'I6' as const, what })),
  ];
}

/** Whether a response may be stored, so that the client need not retry (R13, R14). */
export function isFinal({ status, body }: SeenResponse): boolean {
  if (status >= 500 || status === 429 || status === 408 || status === 425) return false;
  return status !== 409 || !body.includes('idempotency_key_in_use');
}

/** The fields of a response body that say what was done. */
interface ResponseObject {
  readonly object?: string;
  readonly id?: string;
  readonly status?: string;
  readonly latest_charge?: string | null;
}

/** Finds ledger entries, rows and orders by the names that they share. */
class EvidenceIndex {
  readonly approved: readonly LedgerEntry[];
  readonly charges: ReadonlyMap<string, ChargeRow>;
  readonly chargesByReference: ReadonlyMap<string, ChargeRow[]>;
  readonly refunds: ReadonlyMap<string, RefundRow>;
  readonly refundsByReference: ReadonlyMap<string, RefundRow[]>;
  readonly customers: ReadonlySet<string>;
  /** The names of all orders, as `orderOf` names those of entries. */
  readonly ordered: ReadonlySet<string>;
  /** Amounts of payments, by the acquirer's name for the payment. */
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

  /** Names the order that an entry fulfils: kind, account and amount. */
  orderOf({ kind, merchant, payment, amount }: LedgerEntry): string {
    const named = kind === 'cancel' ? this.#amounts.get(nameOf(merchant, payment)) : amount;
    return nameOf(kind, merchant, named);
  }

  entriesOf(order: Order): readonly LedgerEntry[] {
    return this.#byOrder.get(nameOfOrder(order)) ?? [];
  }

  /** The status that a payment must have, by the acquirer ledger. */
  statusDue({ merchant, payment, capture }: LedgerEntry): string {
    const [change] = this.#changes.get(nameOf(merchant, payment)) ?? [];
    if (change) return change.kind === 'cancel' ? 'canceled' : 'succeeded';
    return capture === false ? 'requires_capture' : 'succeeded';
  }
}

/** A confirm is a charge to the acquirer. */
const nameOfOrder = ({ effect, account, amount }: Order): string =>
  nameOf(effect === 'confirm' ? 'charge' : effect, account, amount);

/** Whether no other order can have the same entry. (Several confirms may try one payment.) */
const isAlone = ({ effect }: Order): boolean => effect !== 'confirm' && effect !== 'open';

/** I1: one key, at most one effect: in the ledger, and in the tables. */
function atMostOneEffect({ ledger, tables }: Evidence, index: EvidenceIndex): string[] {
  const found: string[] = [];
  const expect = <T>(what: string, rows: readonly T[], name: (row: T) => string) => {
    for (const [key, same] of grouped(rows, name)) {
      if (same.length > 1) found.push(`${same.length} ${what} for ${key}`);
    }
  };
  const byAmount = (row: { account: string; amount: number }) => nameOf(row.account, row.amount);
  expect('ledger lines', ledger, ({ merchant, remoteKey }) => nameOf(merchant, remoteKey));
  for (const kind of ['charge', 'capture', 'cancel', 'refund'] as const) {
    const entries = index.approved.filter((entry) => entry.kind === kind);
    expect(`${kind}s in the ledger`, entries, (entry) => index.orderOf(entry));
    for (const name of new Set(entries.map((entry) => index.orderOf(entry)))) {
      if (!index.ordered.has(name)) found.push(`a ${kind} that nobody asked for: ${name}`);
    }
  }
  for (const kind of ['capture', 'cancel'] as const) {
    const entries = index.approved.filter((entry) => entry.kind === kind);
    expect(`${kind}s of one payment`, entries, (line) => nameOf(line.merchant, line.payment));
  }
  expect('payment intents', tables.intents, byAmount);
  expect('refunds', tables.refunds, byAmount);
  expect('customers', tables.customers, ({ account, name }) => nameOf(account, name));
  return found;
}

/** I2: every 2xx has exactly one entry, an error has none, and every entry has its payment. */
function responsesHaveEntries({ clients }: Evidence, index: EvidenceIndex): string[] {
  const found: string[] = [];
  for (const { order, responses } of clients) {
    for (const res of distinct(responses)) {
      const wrong =
        res.status < 300
          ? unproven(order, JSON.parse(res.body) as ResponseObject, index)
          : isFinal(res) && isAlone(order) && index.entriesOf(order).length > 0;
      if (wrong) found.push(`${order.key} saw ${res.status}, which the ledger does not confirm`);
    }
  }
  for (const entry of index.approved) {
    const name = nameOf(entry.merchant, referenceOf(entry));
    const rows = entry.kind === 'refund' ? index.refundsByReference : index.chargesByReference;
    if (rows.get(name)?.length !== 1) {
      found.push(
        `${entry.kind} ${name} of ${entry.amount} has ${rows.get(name)?.length ?? 0} rows`,
      );
    }
  }
  return found;
}

/** Whether a 2xx differs from the ledger and the tables. */
function unproven(order: Order, body: ResponseObject, index: EvidenceIndex): boolean {
  const { account } = order;
  const entries = index.entriesOf(order);
  const entered = (reference: string | null | undefined) =>
    entries.length === 1 && entries[0] !== undefined && referenceOf(entries[0]) === reference;
  if (body.object === 'customer') return !index.customers.has(nameOf(account, body.id));
  if (body.object === 'refund') {
    const row = index.refunds.get(nameOf(account, body.id));
    return body.status === 'succeeded' ? !entered(row?.reference) : !row || entries.length > 0;
  }
  // An intent that is only open, or waits for its buyer to authenticate, moved no money.
  if (!STATUS_AFTER[order.effect]?.includes(body.status ?? '')) {
    return (
      order.effect === 'capture' ||
      order.effect === 'cancel' ||
      (isAlone(order) && entries.length > 0)
    );
  }
  const id = body.object === 'charge' ? body.id : body.latest_charge;
  return !entered(index.charges.get(nameOf(account, id))?.reference);
}

/** The statuses of a payment whose order was fulfilled. */
const STATUS_AFTER: Partial<Record<Order['effect'], readonly string[]>> = {
  charge: ['succeeded', 'requires_capture'],
  confirm: ['succeeded', 'requires_capture'],
  capture: ['succeeded'],
  cancel: ['canceled'],
};

/** I3: every entry has become a final payment, and no payment is left in between. */
function entriesBecomeFinal({ tables }: Evidence, index: EvidenceIndex): string[] {
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
  for (const entry of index.approved) {
    const { kind, merchant, amount } = entry;
    if (kind === 'refund') {
      const [row] = index.refundsByReference.get(nameOf(merchant, entry.reference)) ?? [];
      if (row?.status !== 'succeeded') found.push(`the refund of ${amount} is not final`);
    } else if (kind === 'charge') {
      const [row] = intents.get(nameOf(merchant, amount)) ?? [];
      const due = index.statusDue(entry);
      if (row && row.status !== due)
        found.push(`the payment of ${amount} is ${row.status}, not ${due}`);
    } else {
      const [row] = index.chargesByReference.get(nameOf(merchant, entry.payment)) ?? [];
      const done = kind === 'cancel' ? row?.released : row?.amountCaptured === amount;
      if (!done) found.push(`the ${kind} of ${entry.payment} is not on its charge`);
    }
  }
  return found;
}

/** I4: the first response to a key, its replays and the stored row have the same bytes. */
function oneResponseEach({ clients, tables }: Evidence): string[] {
  const found: string[] = [];
  const rows = new Map(tables.keys.map((row) => [nameOf(row.account, row.key), row]));
  for (const { order, responses } of clients) {
    const stored = distinct(responses.filter((res) => isStored(res)));
    if (stored.length > 1)
      found.push(`${order.key} was given ${stored.length} different responses`);
    const [seen] = stored;
    const row = rows.get(nameOf(order.account, order.key));
    if (!seen) continue;
    if (!row) found.push(`${order.key} received ${seen.status}, and nothing is stored`);
    else if (row.status !== null && (row.status !== seen.status || row.body !== seen.body)) {
      found.push(`${order.key} is stored with another response than its client received`);
    }
  }
  return found;
}

/** Whether a response comes from behind the key: refusals of guards and pipes are not stored. */
const isStored = (res: SeenResponse): boolean =>
  isFinal(res) && res.status !== 401 && res.headers['original-request'] !== undefined;

/** I5: no key is unfinished, and every client that retries has a final response. */
function nothingUnfinished({ tables, clients }: Evidence): string[] {
  return [
    ...tables.keys
      .filter(({ status }) => status === null)
      .map(({ key, attempt }) => `${key} is unfinished after ${attempt} attempts`),
    ...clients
      .filter(({ gone, responses }) => !gone && !responses.some(isFinal))
      .map(
        ({ order, responses }) =>
          `${order.key} has no final response, only ${statusesOf(responses)}`,
      ),
  ];
}

/** I6: payments less refunds are the acquirer's balance, for each account. */
function balancesAgree({ tables }: Evidence, { approved }: EvidenceIndex): string[] {
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

/** Drops repeated responses. */
function distinct(responses: readonly SeenResponse[]): SeenResponse[] {
  return [...new Map(responses.map((res) => [`${res.status} ${res.body}`, res])).values()];
}

function statusesOf(responses: readonly SeenResponse[]): string {
  return [...new Set(responses.map(({ status }) => status))].join(', ') || 'none';
}

/** The acquirer's reference: of a refund its own, otherwise the payment's. */
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
