/** The checker, shown a clean run and then one made-up violation after the other. */
import { check, type Evidence, isFinal } from './checker';
import type { ClientRecord, LedgerEntry, SeenAnswer } from './evidence';

const answer = (body: object, status = 200): SeenAnswer => ({
  status,
  headers: { 'original-request': 'req_1' },
  body: JSON.stringify(body),
});
const paid = answer({ object: 'payment_intent', status: 'succeeded', latest_charge: 'ch_1' });
const refunded = answer({ object: 'refund', id: 're_1', status: 'succeeded' });
const named = answer({ object: 'customer', id: 'cus_1' });
const inUse = answer({ error: { code: 'idempotency_key_in_use' } }, 409);

const record = (
  key: string,
  effect: ClientRecord['order']['effect'],
  amount: number,
  answers: SeenAnswer[],
): ClientRecord => ({
  order: { key, account: 'shop', effect, amount },
  answers,
  unanswered: 0,
  gone: false,
});
const entry = (kind: 'charge' | 'refund', amount: number, remoteKey: string): LedgerEntry => ({
  merchant: 'shop',
  remoteKey,
  kind,
  payment: 'acq_1',
  amount,
  currency: 'usd',
  outcome: 'approved',
  reference: kind === 'charge' ? 'acq_1' : 'acr_1',
  ...(kind === 'charge' && { capture: true }),
});
const charge = {
  account: 'shop',
  id: 'ch_1',
  amount: 1_000_001,
  amountCaptured: 1_000_001,
  status: 'succeeded',
  reference: 'acq_1',
};
const intent = {
  account: 'shop',
  id: 'pi_1',
  amount: 1_000_001,
  status: 'succeeded',
  latestCharge: 'ch_1',
};
const refund = {
  account: 'shop',
  id: 're_1',
  amount: 7,
  status: 'succeeded',
  charge: 'ch_1',
  reference: 'acr_1',
};
const row = (key: string, { status, body }: SeenAnswer) => ({
  account: 'shop',
  key,
  status,
  body,
  attempt: 1,
});

/** A payment, a refund of a part of it and a customer, all as they should be. */
const clean: Evidence = {
  ledger: [entry('charge', 1_000_001, 'r1'), entry('refund', 7, 'r2')],
  tables: {
    keys: [row('pay', paid), row('back', refunded), row('name', named)],
    intents: [intent],
    charges: [charge],
    refunds: [refund],
    customers: [{ account: 'shop', id: 'cus_1', name: '9' }],
  },
  clients: [
    record('pay', 'charge', 1_000_001, [inUse, paid]),
    record('back', 'refund', 7, [refunded]),
    record('name', 'customer', 9, [named]),
  ],
};
const withTables = (tables: Partial<Evidence['tables']>): Evidence => ({
  ...clean,
  tables: { ...clean.tables, ...tables },
});
const withClients = (...clients: ClientRecord[]): Evidence => ({
  ...clean,
  clients: [...clients, ...clean.clients.slice(clients.length)],
});
const brokenBy = (evidence: Evidence) => new Set(check(evidence).map(({ invariant }) => invariant));

describe('the checker', () => {
  it('finds nothing where all is well', () => {
    expect(check(clean)).toEqual([]);
  });

  it.each<[string, Evidence]>([
    [
      'a second charge under another remote key',
      { ...clean, ledger: [...clean.ledger, entry('charge', 1_000_001, 'r3')] },
    ],
    ['a remote key with two effects', { ...clean, ledger: [...clean.ledger, clean.ledger[0]!] }],
    ['a charge nobody asked for', { ...clean, ledger: [...clean.ledger, entry('charge', 5, 'r')] }],
    ['a second refund row', withTables({ refunds: [refund, { ...refund, id: 're_2' }] })],
    ['a second payment', withTables({ intents: [intent, { ...intent, id: 'pi_2' }] })],
    [
      'a second customer',
      withTables({
        customers: [...clean.tables.customers, { account: 'shop', id: 'b', name: '9' }],
      }),
    ],
  ])('I1 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I1');
  });

  it.each<[string, Evidence]>([
    ['a payment that the ledger does not have', { ...clean, ledger: [clean.ledger[1]!] }],
    ['a refund that the ledger does not have', { ...clean, ledger: [clean.ledger[0]!] }],
    ['an entry without its payment', withTables({ charges: [] })],
    ['a customer that is not there', withTables({ customers: [] })],
    [
      'an entry of another amount',
      { ...clean, ledger: [entry('charge', 5, 'r1'), clean.ledger[1]!] },
    ],
    [
      'a decline of what was charged',
      withClients(record('pay', 'charge', 1_000_001, [answer({}, 402)])),
    ],
  ])('I2 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I2');
  });

  it.each<[string, Evidence]>([
    ['a payment left processing', withTables({ intents: [{ ...intent, status: 'processing' }] })],
    ['a charge left pending', withTables({ charges: [{ ...charge, status: 'pending' }] })],
    ['a refund left pending', withTables({ refunds: [{ ...refund, status: 'pending' }] })],
    [
      'a charge whose payment asks for another card',
      withTables({ intents: [{ ...intent, status: 'requires_payment_method' }] }),
    ],
  ])('I3 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I3');
  });

  it.each<[string, Evidence]>([
    [
      'two answers that differ in a byte',
      withClients(record('pay', 'charge', 1_000_001, [paid, { ...paid, body: `${paid.body} ` }])),
    ],
    [
      'a replay of another status',
      withClients(record('pay', 'charge', 1_000_001, [paid, { ...paid, status: 201 }])),
    ],
    [
      'a row with other bytes than the client saw',
      withTables({ keys: [row('pay', refunded), ...clean.tables.keys.slice(1)] }),
    ],
    ['an answer of which nothing is stored', withTables({ keys: clean.tables.keys.slice(1) })],
  ])('I4 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I4');
  });

  it('I4 does not count 409 in use, 503 and other passing answers', () => {
    const passing = [inUse, answer({}, 503), answer({}, 500), answer({}, 429)];
    expect(passing.some(isFinal)).toBe(false);
    expect(check(withClients(record('pay', 'charge', 1_000_001, [...passing, paid])))).toEqual([]);
  });

  it('I5 is broken by an unfinished key', () => {
    const unfinished = { ...row('pay', paid), status: null, body: null };
    const keys = [unfinished, ...clean.tables.keys.slice(1)];
    expect(brokenBy(withTables({ keys }))).toEqual(new Set(['I5']));
  });

  it('I5 is broken by a client that insisted in vain, not by one that left', () => {
    const inVain = record('pay', 'charge', 1_000_001, [inUse]);
    expect(brokenBy(withClients(inVain))).toEqual(new Set(['I5']));
    expect(check(withClients({ ...inVain, gone: true }))).toEqual([]);
  });

  it.each<[string, Evidence]>([
    ['a capture of less', withTables({ charges: [{ ...charge, amountCaptured: 5 }] })],
    ['a refund that failed here', withTables({ refunds: [{ ...refund, status: 'failed' }] })],
    ['an entry that is lost here', withTables({ charges: [] })],
  ])('I6 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I6');
  });
});
