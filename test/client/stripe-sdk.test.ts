/** The retrying fetch as the HTTP client of the official SDK, on a network that fails, with real payments. */
import { Pool } from 'pg';
import Stripe from 'stripe';
import { createRetryingFetch, type RetryError, type RetryEvent } from '../../src/client';
import { type RunningApp, startApp } from '../support/app';
import { eventually } from '../support/eventually';
import { holdCharges } from '../support/held-charges';
import { holdTimers } from '../support/held-timers';
import { responds, FaultyServer, forwardsTo, losesBeforeTheWork } from './faulty-server';

const payment = { amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true };

let shop: RunningApp;
let sql: Pool;
let network: FaultyServer;
let events: RetryEvent[];

beforeAll(async () => {
  shop = await startApp();
  sql = new Pool({ connectionString: shop.databaseUrl, max: 1 });
});
afterAll(async () => {
  await sql.end();
  await shop.close();
});
beforeEach(async () => {
  network = await FaultyServer.start();
  network.otherwise = forwardsTo(shop.url);
  events = [];
});
afterEach(async () => {
  jest.restoreAllMocks();
  await network.close();
});

type Options = Parameters<typeof createRetryingFetch>[0];

function stripe(options: Options = {}, config: Partial<Stripe.StripeConfig> = {}): Stripe {
  const retrying = createRetryingFetch({
    baseDelayMs: 5,
    onRetry: (event) => events.push(event),
    ...options,
  });
  return shop.stripe({
    port: new URL(network.url).port,
    httpClient: Stripe.createFetchHttpClient(retrying),
    maxNetworkRetries: 0,
    ...config,
  });
}

/** Payments at the API, and charges at the acquirer. */
async function counts(): Promise<[number, number]> {
  const { rows } = await sql.query<{ payments: number; charges: number }>(
    `SELECT (SELECT count(*)::int FROM payment_intents) AS payments,
            (SELECT count(*)::int FROM acquirer.operations WHERE kind = 'charge') AS charges`,
  );
  return [rows[0]?.payments ?? -1, rows[0]?.charges ?? -1];
}

/** Does something that must make exactly one payment. */
async function paysOnce<T>(work: () => Promise<T>): Promise<T> {
  const [payments, charges] = await counts();
  const result = await work();
  expect(await counts()).toEqual([payments + 1, charges + 1]);
  return result;
}

it.each([
  ['before the work', losesBeforeTheWork],
  ['after the work', () => forwardsTo(shop.url, 'response lost')],
  ['in the middle of the response', () => forwardsTo(shop.url, 'response cut')],
])('a payment that is lost %s, twice, is made once', async (_when, fault) => {
  const lost = fault === losesBeforeTheWork ? losesBeforeTheWork : (fault as () => never)();
  network.plan(lost, lost);
  const paid = await paysOnce(() => stripe().paymentIntents.create(payment));
  expect(paid).toMatchObject({ object: 'payment_intent', status: 'succeeded', amount: 2000 });
  expect(events.map(({ reason }) => reason)).toEqual(['connection-lost', 'connection-lost']);
  expect(network.keys).toEqual(Array(3).fill(events[0]?.idempotencyKey));
  expect(paid.lastResponse.idempotencyKey).toBe(events[0]?.idempotencyKey);
});

it('a payment that takes longer than an attempt is waited for, not made again', async () => {
  const charges = await holdCharges(shop.databaseUrl);
  const timers = holdTimers((ms) => ms === 3_600_000);
  const patient = stripe({ attemptTimeoutMs: 3_600_000, deadlineMs: 86_400_000, maxAttempts: 100 });
  const paid = await paysOnce(async () => {
    const call = patient.paymentIntents.create(payment);
    await charges.arrived();
    timers.elapse();
    await eventually('the retry is told to wait', () => events.at(-1)?.reason === 'in-use');
    await charges.release();
    return call;
  });
  timers.restore();
  expect(paid.status).toBe('succeeded');
  expect(events[0]?.reason).toBe('timeout');
});

it('a declined card is told at once', async () => {
  const declined = { ...payment, payment_method: 'pm_card_chargeDeclined' };
  await expect(stripe().paymentIntents.create(declined)).rejects.toMatchObject({
    type: 'StripeCardError',
    code: 'card_declined',
  });
  expect(network.seen).toHaveLength(1);
});

it("a caller's key that is used for another payment is refused before it is sent", async () => {
  const shopping = stripe();
  await shopping.paymentIntents.create(payment, { idempotencyKey: 'order-1' });
  const other = { ...payment, amount: 2001 };
  const refused = await shopping.paymentIntents
    .create(other, { idempotencyKey: 'order-1' })
    .catch((error: unknown) => error as Stripe.errors.StripeConnectionError);
  expect(refused).toMatchObject({ type: 'StripeConnectionError' });
  expect((refused as { detail?: RetryError }).detail).toMatchObject({ reason: 'key-reused' });
  expect(network.seen).toHaveLength(1);
});

it('a payment that was given up can be asked for with the key in the error', async () => {
  network.plan(forwardsTo(shop.url, 'response lost'));
  const error = await paysOnce(() =>
    stripe({ maxAttempts: 1 })
      .paymentIntents.create(payment)
      .then(
        () => undefined,
        (failed: unknown) => (failed as { detail: RetryError }).detail,
      ),
  );
  expect(error).toMatchObject({ name: 'RetryError', mayHaveExecuted: true });
  const idempotencyKey = error?.idempotencyKey ?? '';
  const asked = await fetch(`${shop.url}/v1/idempotency_keys/${idempotencyKey}`, {
    headers: { authorization: `Bearer ${shop.apiKey}` },
  });
  expect(await asked.json()).toMatchObject({ object: 'idempotency_key', status: 200 });
  const [payments] = await counts();
  const paid = await stripe().paymentIntents.create(payment, { idempotencyKey });
  // What this SDK calls its headers here is fetch's own.
  const headers = paid.lastResponse.headers as unknown as Headers;
  expect(headers.get('idempotent-replayed')).toBe('true');
  expect((await counts())[0]).toBe(payments);
});

it('a response that it gave up with is not retried by an SDK whose own retries are on', async () => {
  network.otherwise = responds(503, {}, '{"error":{"type":"api_error","message":"away"}}');
  const retrying = stripe({ maxAttempts: 3 }, { maxNetworkRetries: 2 });
  const failed = retrying.paymentIntents.create(payment);
  await expect(failed).rejects.toMatchObject({ type: 'StripeAPIError', statusCode: 503 });
  expect(network.seen).toHaveLength(3);
});
