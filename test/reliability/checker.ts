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
  readonly byReference: ReadonlyMap<string, LedgerEntry[]>;
  readonly charges: ReadonlyMap<string, ChargeRow>;
  readonly chargesByReference: ReadonlyMap<string, ChargeRow[]>;
  readonly refunds: ReadonlyMap<string, RefundRow>;
  readonly refundsByReference: ReadonlyMap<string, RefundRow[]>;
  readonly customers: ReadonlySet<string>;

  constructor({ ledger, tables }: Evidence) {
    this.approved = ledger.filter(({ outcome }) => outcome === 'approved');
    this.byReference = grouped(this.approved, (entry) =>
      nameOf(entry.merchant, entry.kind, referenceOf(entry)),
    );
    this.charges = new Map(tables.charges.map((row) => [nameOf(row.account, row.id), row]));
    this.chargesByReference = grouped(tables.charges, (row) => nameOf(row.account, row.reference));
    this.refunds = new Map(tables.refunds.map((row) => [nameOf(row.account, row.id), row]));
    this.refundsByReference = grouped(tables.refunds, (row) => nameOf(row.account, row.reference));
    this.customers = new Set(tables.customers.map(({ account, id }) => nameOf(account, id)));
  }
}

/** I1: one key, at most one effect: in the ledger, and in the tables. */
function atMostOneEffect({ ledger, tables, clients }: Evidence, { approved }: Books): string[] {
  const found: string[] = [];
  const expect = <T>(what: string, rows: readonly T[], name: (row: T) => string, most = 1) => {
    for (const [key, same] of grouped(rows, name)) {
      if (same.length > most) found.push(`${same.length} ${what} for ${key}`);
    }
  };
  const ordered = (...effects: Order['effect'][]) =>
    new Set(
      clients
        .filter(({ order }) => effects.includes(order.effect))
        .map(({ order }) => nameOf(order.account, order.amount)),
    );
  const byAmount = (row: { account: string; amount: number }) => nameOf(row.account, row.amount);
  const ofKind = (kind: LedgerEntry['kind']) => approved.filter((entry) => entry.kind === kind);
  expect('ledger lines', ledger, ({ merchant, remoteKey }) => nameOf(merchant, remoteKey));
  for (const [kind, orders] of [
    ['charge', ordered('charge', 'confirm')],
    ['refund', ordered('refund')],
  ] as const) {
    const entries = ofKind(kind);
    expect(`${kind}s in the ledger`, entries, (entry) => nameOf(entry.merchant, entry.amount));
    for (const { merchant, amount } of entries) {
      const name = nameOf(merchant, amount);
      if (!orders.has(name)) found.push(`a ${kind} that nobody asked for: ${name}`);
    }
  }
  for (const kind of ['capture', 'cancel'] as const) {
    expect(`${kind}s in the ledger`, ofKind(kind), (line) => nameOf(line.merchant, line.payment));
  }
  expect('payment intents', tables.intents, byAmount);
  expect('refunds', tables.refunds, byAmount);
  expect('customers', tables.customers, ({ account, name }) => nameOf(account, name));
  return found;
}

/** I2: every 2xx has exactly one entry, a decline has none, and every entry has its payment. */
function answersHaveEntries({ clients }: Evidence, books: Books): string[] {
  const found: string[] = [];
  const charged = grouped(
    books.approved.filter(({ kind }) => kind === 'charge'),
    (entry) => nameOf(entry.merchant, entry.amount),
  );
  for (const { order, answers } of clients) {
    for (const answer of unlike(answers)) {
      const wrong =
        answer.status < 300
          ? unproven(order, JSON.parse(answer.body) as AnswerObject, books)
          : answer.status === 402 && order.effect === 'charge'
            ? (charged.get(nameOf(order.account, order.amount))?.length ?? 0) > 0
            : false;
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

/** Whether a 2xx says more than the ledger and the tables do. */
function unproven(order: Order, body: AnswerObject, books: Books): boolean {
  const { account, amount } = order;
  const inLedger = (kind: LedgerEntry['kind'], reference: string | null | undefined) => {
    const entries = books.byReference.get(nameOf(account, kind, reference ?? '')) ?? [];
    return entries.length === 1 && entries[0]?.amount === amount;
  };
  if (body.object === 'customer') return !books.customers.has(nameOf(account, body.id));
  if (body.object === 'refund') {
    const row = books.refunds.get(nameOf(account, body.id));
    return body.status === 'succeeded' ? !inLedger('refund', row?.reference) : !row;
  }
  if (body.status !== 'succeeded' && body.status !== 'requires_capture') return false;
  const id = body.object === 'charge' ? body.id : body.latest_charge;
  return !inLedger('charge', books.charges.get(nameOf(account, id))?.reference);
}

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
  for (const { kind, merchant, amount, ...entry } of books.approved) {
    if (kind === 'refund') {
      const [row] = books.refundsByReference.get(nameOf(merchant, entry.reference)) ?? [];
      if (row?.status !== 'succeeded') found.push(`the refund of ${amount} is not final`);
    } else if (kind === 'charge') {
      const [row] = intents.get(nameOf(merchant, amount)) ?? [];
      const paid = ['succeeded', 'requires_capture', 'canceled'].includes(row?.status ?? '');
      if (row && !paid) found.push(`the payment of ${amount} is ${row.status} though charged`);
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
