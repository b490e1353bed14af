/** The acquirer ledger in a file: results are on disk before they are returned; torn lines are cut off. */
import { type FileHandle, open } from 'node:fs/promises';
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FileAcquirerLedger, AcquirerLedgerError } from '../../src/sandbox-acquirer';
import { ledgerLines, temporaryDirectory } from './acquirer-ledger.fixture';

const order = {
  kind: 'charge',
  amount: 1000,
  currency: 'usd',
  card: 'visa',
  capture: true,
} as const;

let directory: ReturnType<typeof temporaryDirectory>;
let path: string;

beforeEach(() => {
  directory = temporaryDirectory();
  path = join(directory.path, 'deep', 'ledger');
});

afterEach(() => {
  jest.restoreAllMocks();
  directory.remove();
});

const lines = () => ledgerLines(path);

/** What every open file of this process does. */
async function fileHandles(): Promise<FileHandle> {
  const any = await open(__filename);
  await any.close();
  return Object.getPrototypeOf(any) as FileHandle;
}

test('a line says what was asked, and what came of it', async () => {
  const ledger = await FileAcquirerLedger.open(path);
  const metadata = { order: '7' };
  const charged = await ledger.executeOnce('shop', 'k1', { ...order, metadata });
  const payment = charged.outcome === 'approved' ? charged.reference : '';
  await ledger.executeOnce('shop', 'k2', { kind: 'refund', payment, amount: 100 });
  await ledger.executeOnce('shop', 'k3', { ...order, card: 'chargeDeclinedLostCard' });
  await ledger.executeOnce('shop', 'k3', { ...order, card: 'chargeDeclinedLostCard' });
  await ledger.executeOnce('shop', 'k4', { kind: 'cancel', payment: 'none', amount: 0 });
  await ledger.close();
  const shop = { merchant: 'shop', at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) };
  expect(lines()).toEqual([
    {
      ...shop,
      remoteKey: 'k1',
      ...order,
      payment,
      metadata,
      outcome: 'approved',
      reference: payment,
    },
    {
      ...shop,
      remoteKey: 'k2',
      kind: 'refund',
      payment,
      amount: 100,
      currency: 'usd',
      outcome: 'approved',
      reference: expect.stringMatching(/^acr_/),
    },
    {
      ...shop,
      remoteKey: 'k3',
      ...order,
      card: 'chargeDeclinedLostCard',
      payment: expect.stringMatching(/^acq_/),
      outcome: 'declined',
      code: 'card_declined',
      declineCode: 'lost_card',
      message: expect.any(String),
      reference: null,
    },
    {
      ...shop,
      remoteKey: 'k4',
      kind: 'cancel',
      payment: 'none',
      amount: 0,
      currency: null,
      outcome: 'declined',
      code: 'cancel_refused',
      declineCode: null,
      message: expect.any(String),
      reference: null,
    },
  ]);
});

test('the next start knows all of it: results, payments, balance', async () => {
  const before = await FileAcquirerLedger.open(path);
  const held = await before.executeOnce('shop', 'k1', { ...order, capture: false });
  const payment = held.outcome === 'approved' ? held.reference : '';
  await before.executeOnce('shop', 'k2', { kind: 'capture', payment, amount: 600 });
  const refund = await before.executeOnce('shop', 'k3', { kind: 'refund', payment, amount: 200 });
  const refused = await before.executeOnce('shop', 'k4', { kind: 'refund', payment, amount: 500 });
  await before.close();
  const after = await FileAcquirerLedger.open(path);
  expect(await after.balance('shop', 'usd')).toBe(400);
  expect(await after.executeOnce('shop', 'k3', { kind: 'refund', payment, amount: 200 })).toEqual(
    refund,
  );
  expect(await after.lookUp('shop', 'k4')).toEqual(refused);
  expect(
    await after.executeOnce('shop', 'k5', { kind: 'refund', payment, amount: 401 }),
  ).toMatchObject({
    outcome: 'declined',
  });
  expect(await after.entries('shop')).toHaveLength(3);
  await after.close();
});

test('nothing is returned before it is on disk, to duplicates and look-ups neither', async () => {
  const ledger = await FileAcquirerLedger.open(path);
  const handles = await fileHandles();
  let sync = (): void => undefined;
  const asked = new Promise<void>((begun) => {
    jest.spyOn(handles, 'datasync').mockImplementation(() => {
      begun();
      return new Promise((resolve) => (sync = resolve));
    });
  });
  let returned = 0;
  const count = () => (returned += 1);
  const all = [
    ledger.executeOnce('shop', 'key', order).then(count),
    ledger.executeOnce('shop', 'key', order).then(count),
    ledger.lookUp('shop', 'key').then(count),
    ledger.balance('shop', 'usd').then(count),
    ledger.entries('shop').then(count),
  ];
  await asked;
  await new Promise((resolve) => setImmediate(resolve));
  expect(returned).toBe(0);
  sync();
  await Promise.all(all);
  expect(returned).toBe(5);
  await ledger.close();
});

test('a thousand orders at once share a few syncs', async () => {
  const ledger = await FileAcquirerLedger.open(path);
  const sync = jest.spyOn(await fileHandles(), 'datasync');
  await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => ledger.executeOnce('shop', `k${i}`, order)),
  );
  expect(sync.mock.calls.length).toBeLessThan(10);
  await ledger.close();
  expect(lines()).toHaveLength(1_000);
});

test('a torn last line is cut off, and the order it was for is new', async () => {
  const before = await FileAcquirerLedger.open(path);
  await before.executeOnce('shop', 'k1', order);
  await before.executeOnce('shop', 'k2', order);
  await before.close();
  const whole = readFileSync(path);
  const end = whole.length;
  const second = whole.indexOf('\n') + 1;
  for (const cut of [second + 1, second + 40, end - 2, end - 1]) {
    writeFileSync(path, whole.subarray(0, cut));
    const after = await FileAcquirerLedger.open(path);
    expect(await after.lookUp('shop', 'k1')).toBeDefined();
    expect(await after.lookUp('shop', 'k2')).toBeUndefined();
    await after.executeOnce('shop', 'k2', order);
    await after.close();
    expect(lines().map(({ remoteKey }) => remoteKey)).toEqual(['k1', 'k2']);
  }
});

test.each([
  ['is not JSON', 'hello'],
  ['is no entry', '{}'],
  ['is null', 'null'],
  [
    'refunds what is not there',
    '{"merchant":"a","remoteKey":"b","payment":"c","kind":"refund","amount":1,"outcome":"approved"}',
  ],
])('a whole line that %s stops the start, with its number', async (_, line) => {
  const before = await FileAcquirerLedger.open(path);
  await before.executeOnce('shop', 'k1', order);
  await before.close();
  appendFileSync(path, `${line}\n`);
  await expect(FileAcquirerLedger.open(path)).rejects.toThrow(`Line 2 of the ledger ${path}`);
});

test('a remote key that is there twice stops the start', async () => {
  const before = await FileAcquirerLedger.open(path);
  await before.executeOnce('shop', 'k1', order);
  await before.close();
  appendFileSync(path, readFileSync(path));
  await expect(FileAcquirerLedger.open(path)).rejects.toThrow('the remote key k1 is there twice');
});

test('a file that is no ledger is refused without reading all of it', async () => {
  writeFileSync(join(directory.path, 'zeros'), Buffer.alloc(3_000_000));
  await expect(FileAcquirerLedger.open(join(directory.path, 'zeros'))).rejects.toThrow(
    /is not a ledger/,
  );
});

test.each([
  ['a path', 'ledger'],
  ['a path too long for a socket', join('x'.repeat(80), 'y'.repeat(80), 'ledger')],
])('a ledger with %s is open once, until it is closed', async (_, name) => {
  path = join(directory.path, name);
  const ledger = await FileAcquirerLedger.open(path);
  await expect(FileAcquirerLedger.open(path)).rejects.toThrow(AcquirerLedgerError);
  await expect(FileAcquirerLedger.open(path)).rejects.toThrow(/open in another acquirer/);
  await ledger.close();
  await (await FileAcquirerLedger.open(path)).close();
  expect(readdirSync(dirname(path))).toEqual(['ledger']);
});

test('once a write has failed nothing more is taken or returned', async () => {
  const ledger = await FileAcquirerLedger.open(path);
  const all = await fileHandles();
  const full = jest.spyOn(all, 'datasync').mockRejectedValue(new Error('ENOSPC: no space left'));
  const failures: string[] = [];
  ledger.onFailure(({ message }) => failures.push(message));
  const orders = [ledger.executeOnce('shop', 'k1', order), ledger.executeOnce('shop', 'k2', order)];
  for (const { status } of await Promise.allSettled(orders)) expect(status).toBe('rejected');
  full.mockRestore();
  await expect(ledger.executeOnce('shop', 'k3', order)).rejects.toThrow(/cannot be written/);
  await expect(ledger.lookUp('shop', 'k1')).rejects.toThrow(AcquirerLedgerError);
  expect(failures).toEqual([
    `The ledger ${path} cannot be written (ENOSPC: no space left): free the disk and start again.`,
  ]);
  await ledger.close();
});
