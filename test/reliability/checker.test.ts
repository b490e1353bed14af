/** The checker accepts a clean run and finds each invented violation. */
import { check, type Evidence, isFinal } from './checker';
import type { ChargeRow, ClientRecord, IntentRow, LedgerEntry, SeenResponse } from './evidence';

const seenResponse = (body: object, status = 200): SeenResponse => ({
  status,
  headers: { 'original-request': 'req_1' },
  body: JSON.stringify(body),
});
const paid = seenResponse({ object: 'payment_intent', status: 'succeeded', latest_charge: 'ch_1' });
const refunded = seenResponse({ object: 'refund', id: 're_1', status: 'succeeded' });
const captured = seenResponse({
  object: 'payment_intent',
  status: 'succeeded',
  latest_charge: 'ch_2',
});
const held = seenResponse({
  object: 'payment_intent',
  status: 'requires_capture',
  latest_charge: 'ch_2',
});
const canceled = seenResponse({
  object: 'payment_intent',
  status: 'canceled',
  latest_charge: 'ch_3',
});
const named = seenResponse({ object: 'customer', id: 'cus_1' });
const failedRefund = seenResponse({ object: 'refund', id: 're_1', status: 'failed' });
const inUse = seenResponse({ error: { code: 'idempotency_key_in_use' } }, 409);

const record = (
  key: string,
  effect: ClientRecord['order']['effect'],
  amount: number,
  responses: SeenResponse[],
): ClientRecord => ({
  order: { key, account: 'shop', effect, amount },
  responses,
  withoutResponse: 0,
  gone: false,
});
const entry = (
  kind: LedgerEntry['kind'],
  amount: number,
  remoteKey: string,
  fields: Partial<LedgerEntry> = {},
): LedgerEntry => ({
  merchant: 'shop',
  remoteKey,
  kind,
  payment: 'acq_1',
  amount,
  currency: 'usd',
  outcome: 'approved',
  reference: kind === 'refund' ? 'acr_1' : (fields.payment ?? 'acq_1'),
  ...(kind === 'charge' && { capture: true }),
  ...fields,
});
/** Two payments that were only authorised: the first is captured in part, the second released. */
const heldEntries = [
  entry('charge', 1_000_002, 'r3', { payment: 'acq_2', capture: false }),
  entry('capture', 500_003, 'r4', { payment: 'acq_2' }),
  entry('charge', 1_000_004, 'r5', { payment: 'acq_3', capture: false }),
  entry('cancel', 0, 'r6', { payment: 'acq_3' }),
];
const charge = {
  account: 'shop',
  id: 'ch_1',
  amount: 1_000_001,
  amountCaptured: 1_000_001,
  status: 'succeeded',
  released: false,
  reference: 'acq_1',
};
const capturedCharge = {
  ...charge,
  id: 'ch_2',
  amount: 1_000_002,
  amountCaptured: 500_003,
  reference: 'acq_2',
};
const releasedCharge = {
  ...charge,
  id: 'ch_3',
  amount: 1_000_004,
  amountCaptured: 0,
  released: true,
  reference: 'acq_3',
};
const intent = {
  account: 'shop',
  id: 'pi_1',
  amount: 1_000_001,
  status: 'succeeded',
  latestCharge: 'ch_1',
};
const capturedIntent = { ...intent, id: 'pi_2', amount: 1_000_002, latestCharge: 'ch_2' };
const canceledIntent = {
  ...intent,
  id: 'pi_3',
  amount: 1_000_004,
  status: 'canceled',
  latestCharge: 'ch_3',
};
const refund = {
  account: 'shop',
  id: 're_1',
  amount: 7,
  status: 'succeeded',
  charge: 'ch_1',
  reference: 'acr_1',
};
const row = (key: string, { status, body }: SeenResponse) => ({
  account: 'shop',
  key,
  status,
  body,
  attempt: 1,
});

/**
 * A clean run: a payment, a refund of a part of it, a payment captured later, one that was released, and a
 * customer.
 */
const clean: Evidence = {
  ledger: [entry('charge', 1_000_001, 'r1'), entry('refund', 7, 'r2'), ...heldEntries],
  tables: {
    keys: [
      row('pay', paid),
      row('back', refunded),
      row('name', named),
      row('hold', held),
      row('capture', captured),
      row('cancel', canceled),
    ],
    intents: [intent, capturedIntent, canceledIntent],
    charges: [charge, capturedCharge, releasedCharge],
    refunds: [refund],
    customers: [{ account: 'shop', id: 'cus_1', name: '9' }],
  },
  clients: [
    record('pay', 'charge', 1_000_001, [inUse, paid]),
    record('back', 'refund', 7, [refunded]),
    record('name', 'customer', 9, [named]),
    record('hold', 'charge', 1_000_002, [held]),
    record('capture', 'capture', 500_003, [captured]),
    { ...record('held and gone', 'charge', 1_000_004, []), gone: true },
    record('cancel', 'cancel', 1_000_004, [canceled]),
  ],
};
const withLedger = (change: (entries: LedgerEntry[]) => LedgerEntry[]): Evidence => ({
  ...clean,
  ledger: change([...clean.ledger]),
});
const without = (remoteKey: string) =>
  withLedger((entries) => entries.filter((one) => one.remoteKey !== remoteKey));
/** The clean run with one wrong row. */
const withCharge = (wrong: ChargeRow) =>
  withTables({ charges: clean.tables.charges.map((one) => (one.id === wrong.id ? wrong : one)) });
const withIntent = (wrong: IntentRow) =>
  withTables({ intents: clean.tables.intents.map((one) => (one.id === wrong.id ? wrong : one)) });
/** The clean run with other responses to one key. */
const seen = (key: string, ...responses: SeenResponse[]): Evidence => ({
  ...clean,
  clients: clean.clients.map((one) => (one.order.key === key ? { ...one, responses } : one)),
});
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
  it('finds nothing in a clean run', () => {
    expect(check(clean)).toEqual([]);
  });

  it.each<[string, Evidence]>([
    [
      'a second charge under another remote key',
      { ...clean, ledger: [...clean.ledger, entry('charge', 1_000_001, 'r9')] },
    ],
    ['a remote key with two effects', { ...clean, ledger: [...clean.ledger, clean.ledger[0]!] }],
    [
      'a charge that no client ordered',
      { ...clean, ledger: [...clean.ledger, entry('charge', 5, 'r')] },
    ],
    ['a second refund row', withTables({ refunds: [refund, { ...refund, id: 're_2' }] })],
    [
      'a second payment',
      withTables({ intents: [...clean.tables.intents, { ...intent, id: 'pi_9' }] }),
    ],
    [
      'a second capture',
      withLedger((all) => [...all, entry('capture', 500_003, 'r', { payment: 'acq_2' })]),
    ],
    [
      'a second capture of a payment, under another order',
      {
        ...withLedger((all) => [...all, entry('capture', 500_009, 'r', { payment: 'acq_2' })]),
        clients: [...clean.clients, { ...record('other', 'capture', 500_009, []), gone: true }],
      },
    ],
    [
      'a second refund under another remote key',
      withLedger((all) => [...all, entry('refund', 7, 'r9', { reference: 'acr_9' })]),
    ],
    [
      'a capture that no client ordered',
      withLedger((all) => [...all, entry('capture', 500_009, 'r', { payment: 'acq_3' })]),
    ],
    [
      'a second cancel',
      withLedger((all) => [...all, entry('cancel', 0, 'r', { payment: 'acq_3' })]),
    ],
    [
      'a cancel that no client ordered',
      withLedger((all) => [...all, entry('cancel', 0, 'r', { payment: 'acq_2' })]),
    ],
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
    ['a payment that the ledger does not have', without('r1')],
    ['a refund that the ledger does not have', without('r2')],
    ['a capture that the ledger does not have', without('r4')],
    ['a cancel that the ledger does not have', without('r6')],
    [
      'a capture that was reported, and did not take place',
      { ...without('r4'), clients: seen('capture', held).clients },
    ],
    [
      'a cancel that was reported, and did not take place',
      { ...without('r6'), clients: seen('cancel', held).clients },
    ],
    ['a capture that took place, and was reported otherwise', seen('capture', held)],
    ['a refund that is reported as failed and is in the ledger', seen('back', failedRefund)],
    ['a refused capture of a captured payment', seen('capture', seenResponse({}, 402))],
    ['a refused cancel of a released payment', seen('cancel', seenResponse({}, 400))],
    ['a refused refund of a refunded payment', seen('back', seenResponse({}, 400))],
    ['an entry without its payment', withTables({ charges: [] })],
    ['a customer that is not there', withTables({ customers: [] })],
    [
      'an entry of another amount',
      withLedger(([, ...rest]) => [entry('charge', 5, 'r1'), ...rest]),
    ],
    [
      'a decline of a charged payment',
      withClients(record('pay', 'charge', 1_000_001, [seenResponse({}, 402)])),
    ],
  ])('I2 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I2');
  });

  it.each<[string, Evidence]>([
    ['a payment left processing', withIntent({ ...intent, status: 'processing' })],
    ['a charge left pending', withCharge({ ...charge, status: 'pending' })],
    ['a refund left pending', withTables({ refunds: [{ ...refund, status: 'pending' }] })],
    [
      'a charge whose payment asks for another card',
      withIntent({ ...intent, status: 'requires_payment_method' }),
    ],
    ['a payment that is canceled though charged', withIntent({ ...intent, status: 'canceled' })],
    [
      'a capture that its payment does not have',
      withIntent({ ...capturedIntent, status: 'requires_capture' }),
    ],
    [
      'a cancel that its payment does not have',
      withIntent({ ...canceledIntent, status: 'requires_capture' }),
    ],
    ['a capture of less on its charge', withCharge({ ...capturedCharge, amountCaptured: 5 })],
    ['a released charge that still holds', withCharge({ ...releasedCharge, released: false })],
  ])('I3 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I3');
  });

  it.each<[string, Evidence]>([
    [
      'two responses that differ in a byte',
      withClients(record('pay', 'charge', 1_000_001, [paid, { ...paid, body: `${paid.body} ` }])),
    ],
    [
      'a replay of another status',
      withClients(record('pay', 'charge', 1_000_001, [paid, { ...paid, status: 201 }])),
    ],
    [
      'a row with other bytes than the client received',
      withTables({ keys: [row('pay', refunded), ...clean.tables.keys.slice(1)] }),
    ],
    ['a response of which nothing is stored', withTables({ keys: clean.tables.keys.slice(1) })],
  ])('I4 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I4');
  });

  it('I4 does not count 409 in use, 503 and other responses that are not final', () => {
    const passing = [inUse, seenResponse({}, 503), seenResponse({}, 500), seenResponse({}, 429)];
    expect(passing.some(isFinal)).toBe(false);
    expect(check(withClients(record('pay', 'charge', 1_000_001, [...passing, paid])))).toEqual([]);
  });

  it('I5 is broken by an unfinished key', () => {
    const unfinished = { ...row('pay', paid), status: null, body: null };
    const keys = [unfinished, ...clean.tables.keys.slice(1)];
    expect(brokenBy(withTables({ keys }))).toEqual(new Set(['I5']));
  });

  it('I5 is broken by a client that retried in vain, not by one that left', () => {
    const inVain = record('pay', 'charge', 1_000_001, [inUse]);
    expect(brokenBy(withClients(inVain))).toEqual(new Set(['I5']));
    expect(check(withClients({ ...inVain, gone: true }))).toEqual([]);
  });

  it.each<[string, Evidence]>([
    ['a payment of less', withCharge({ ...charge, amountCaptured: 5 })],
    ['a capture of less', withCharge({ ...capturedCharge, amountCaptured: 5 })],
    ['a capture that is lost here', withCharge({ ...capturedCharge, amountCaptured: 0 })],
    ['a refund that failed here', withTables({ refunds: [{ ...refund, status: 'failed' }] })],
    ['an entry that is lost here', withTables({ charges: [] })],
  ])('I6 is broken by %s', (_, evidence) => {
    expect(brokenBy(evidence)).toContain('I6');
  });
});
