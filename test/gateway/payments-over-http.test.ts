/** Payments through the server, as its users run it, with the acquirer in a process of its own. */
import { join } from 'node:path';
import Stripe from 'stripe';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { PATIENT } from '../support/patience';
import {
  type RunningAcquirer,
  type RunningServer,
  startAcquirer,
  startServer,
  stopAll,
} from '../support/server';
import { ledgerLines, temporaryDirectory } from '../sandbox-acquirer/acquirer-ledger.fixture';

let directory: ReturnType<typeof temporaryDirectory>;
let ledger: string;
let database: FreshDatabase;
let acquirer: RunningAcquirer;
let server: RunningServer;
let stripe: Stripe;

beforeAll(async () => {
  directory = temporaryDirectory();
  ledger = join(directory.path, 'ledger');
  database = await freshDatabase();
  acquirer = await startAcquirer(ledger);
  server = await startServer({
    databaseUrl: database.url,
    env: { ...PATIENT, ...settings() },
  });
  stripe = sdkOf(server);
});

afterAll(async () => {
  await stopAll();
  await database.drop();
  directory.remove();
});

const settings = () => ({
  ACQUIRER_URL: acquirer.url,
  // The client's own retry is what is looked at here.
  IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0',
});

function sdkOf({ port }: RunningServer): Stripe {
  const options = { host: '127.0.0.1', port, protocol: 'http', telemetry: false } as const;
  return new Stripe(server.apiKey, { ...options, maxNetworkRetries: 0 });
}

const payment = (order: string, more: Partial<Stripe.PaymentIntentCreateParams> = {}) => ({
  amount: 2000,
  currency: 'usd',
  payment_method: 'pm_card_visa',
  confirm: true,
  ...more,
  metadata: { order, ...(more.metadata as Record<string, string> | undefined) },
});

const entriesOf = (order: string) =>
  ledgerLines(ledger).filter(({ metadata }) => metadata?.order === order);

test('a payment, its refund, an authorisation, its capture, another, its release: each one line', async () => {
  const paid = await stripe.paymentIntents.create(payment('all'));
  await stripe.refunds.create({ payment_intent: paid.id, amount: 500, metadata: { order: 'all' } });
  const manual = { capture_method: 'manual' } as const;
  const held = await stripe.paymentIntents.create(payment('all', manual));
  await stripe.paymentIntents.capture(held.id, { amount_to_capture: 1500 });
  const dropped = await stripe.paymentIntents.create(payment('all', manual));
  await stripe.paymentIntents.cancel(dropped.id);
  const charged = await stripe.charges.create({
    amount: 700,
    currency: 'usd',
    source: 'tok_visa',
    capture: false,
    metadata: { order: 'all' },
  });
  await stripe.charges.capture(charged.id);
  const entries = entriesOf('all');
  expect(entries.map(({ kind, amount }) => `${kind} ${amount}`)).toEqual([
    'charge 2000',
    'refund 500',
    'charge 2000',
    'capture 1500',
    'charge 2000',
    'cancel 0',
    'charge 700',
    'capture 700',
  ]);
  expect(entries.every(({ outcome }) => outcome === 'approved')).toBe(true);
});

test('a declined card is the same 402 as ever, and a line of its own', async () => {
  const declined = payment('declined', { payment_method: 'pm_card_chargeDeclined' });
  const options = { idempotencyKey: 'declined' };
  await expect(stripe.paymentIntents.create(declined, options)).rejects.toMatchObject({
    statusCode: 402,
    code: 'card_declined',
    decline_code: 'generic_decline',
  });
  await expect(stripe.paymentIntents.create(declined, options)).rejects.toMatchObject({
    statusCode: 402,
  });
  expect(entriesOf('declined')).toMatchObject([{ outcome: 'declined', code: 'card_declined' }]);
});

test.each(['lose_reply', 'error_before', 'error_after'])(
  'R12 %s: 503 to the client, then under the same key one charge',
  async (fault) => {
    const order = payment(fault, { metadata: { acquirer_fault: fault } });
    const options = { idempotencyKey: fault };
    await expect(stripe.paymentIntents.create(order, options)).rejects.toMatchObject({
      statusCode: 503,
      code: 'idempotency_outcome_unknown',
    });
    const paid = await retryUntilFinal(() => stripe.paymentIntents.create(order, options));
    expect(paid.status).toBe('succeeded');
    expect(entriesOf(fault)).toHaveLength(1);
  },
);

test('R12 an acquirer past its deadline: 503 in place of its outcome, and one charge in the end', async () => {
  const impatient = await startServer({
    databaseUrl: database.url,
    env: { ...PATIENT, ...settings(), IDEMPOTENCY_REMOTE_DEADLINE_MS: '1000' },
  });
  const order = payment('slow', { metadata: { acquirer_latency_ms: '3000' } });
  const options = { idempotencyKey: 'slow' };
  await expect(sdkOf(impatient).paymentIntents.create(order, options)).rejects.toMatchObject({
    statusCode: 503,
  });
  await impatient.stop();
  const paid = await retryUntilFinal(() => stripe.paymentIntents.create(order, options));
  expect(paid.status).toBe('succeeded');
  // The slow first try arrives at the acquirer ledger after the repeat, and finds it done.
  await acquirer.program.stop();
  expect(entriesOf('slow')).toHaveLength(1);
  acquirer = await startAcquirer(ledger, { ACQUIRER_PORT: new URL(acquirer.url).port });
});

test('R12 an acquirer that is not there: 503, and the payment is made when it is back', async () => {
  const port = new URL(acquirer.url).port;
  await acquirer.program.kill9();
  const order = payment('away');
  const options = { idempotencyKey: 'away' };
  await expect(stripe.paymentIntents.create(order, options)).rejects.toMatchObject({
    statusCode: 503,
  });
  acquirer = await startAcquirer(ledger, { ACQUIRER_PORT: port });
  const paid = await retryUntilFinal(() => stripe.paymentIntents.create(order, options));
  expect(paid.status).toBe('succeeded');
  expect(entriesOf('away')).toHaveLength(1);
});

/** Sends again while the status is 409 (recovery is at it) or 503. */
async function retryUntilFinal<T>(send: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await send();
    } catch (error) {
      const { statusCode } = error as { statusCode?: number };
      if (statusCode !== 409 && statusCode !== 503) throw error;
    }
  }
}
