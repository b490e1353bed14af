/** docs/guides/retrying.md: its examples are files in ./retrying, and run against the server. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type Stripe from 'stripe';
import { callReport } from '../../src/client';
import { type RunningApp, startApp } from '../support/app';
import { eventually } from '../support/eventually';
import { type HeldTimers, holdTimers } from '../support/held-timers';
import { TcpProxy } from '../support/tcp-proxy';
import type { Order } from './retrying/shop';

const EXAMPLES = join(__dirname, 'retrying');
/** Known to the examples and not shown. */
const SHOP = 'shop.ts';
/** By default, ms. */
const ATTEMPT_TIMEOUT_MS = 12_000;

interface Examples {
  readonly payment: typeof import('./retrying/payment');
  readonly 'with-fetch': typeof import('./retrying/with-fetch');
  readonly 'stripe-sdk': typeof import('./retrying/stripe-sdk');
  readonly outcome: typeof import('./retrying/outcome');
  readonly question: typeof import('./retrying/question');
  readonly metrics: typeof import('./retrying/metrics');
}

/** An example, loaded when its environment is set. */
function load<Name extends keyof Examples>(name: Name): Examples[Name] {
  return jest.requireActual<Examples[Name]>(`./retrying/${name}`);
}

describe('the examples of the guide', () => {
  it('are the files that run here, word for word', () => {
    const guide = readFileSync(join(__dirname, '../../docs/guides/retrying.md'), 'utf8');
    const shown = [...guide.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code);
    const run = readdirSync(EXAMPLES)
      .filter((file) => file !== SHOP)
      .map((file) => readFileSync(join(EXAMPLES, file), 'utf8'))
      .map((code) => code.replaceAll("'../../../src/client'", "'@paidonce/client'"));
    expect(new Set(shown)).toEqual(new Set(run));
  });
});

describe('a payment whose response is lost', () => {
  let app: RunningApp;
  let network: TcpProxy;
  let stripe: Stripe;
  let timers: HeldTimers;
  beforeAll(async () => {
    app = await startApp();
    network = await TcpProxy.to(app.url);
    stripe = app.stripe();
  });
  afterAll(async () => {
    await network.close();
    await app.close();
  });
  beforeEach(() => {
    // Here a response is lost with its connection, never because it is late.
    timers = holdTimers((ms) => ms === ATTEMPT_TIMEOUT_MS);
    jest.resetModules(); // the examples read the environment when they are loaded
    process.env.PAYMENTS_URL = network.url.replace(/\/$/, '');
    process.env.PAYMENTS_KEY = app.apiKey;
  });
  afterEach(() => {
    timers.restore();
    network.heal();
  });

  let orders = 0;
  function newOrder(paymentMethod = 'pm_card_visa'): Order {
    orders += 1;
    return { id: `${orders}`, amount: 2_000 + orders, paymentMethod };
  }

  /** Of an order, found by its amount, which no other has. */
  async function charges({ amount }: Order): Promise<number> {
    const { data } = await stripe.charges.list({ limit: 100 });
    return data.filter((charge) => charge.amount === amount).length;
  }

  /**
   * Makes a call whose first response stops after its first byte, and then breaks the connection.
   *
   * @param lastingly whether every retry is turned away, from that moment on
   */
  async function losingTheResponse<T>(
    order: Order,
    work: () => Promise<T>,
    lastingly = false,
  ): Promise<T> {
    network.dripMs = 500;
    const working = work();
    working.catch(() => undefined); // it is awaited below
    // The charge is committed together with the response.
    await eventually('it is paid', async () => (await charges(order)) === 1);
    network.dripMs = 0;
    network.refusing = lastingly;
    network.cut();
    return working;
  }

  it('is made once with the typed client', async () => {
    const { pay } = load('payment');
    const lost = newOrder();
    const payment = await losingTheResponse(lost, () => pay(lost));
    expect(payment.status).toBe('succeeded');
    expect(await charges(lost)).toBe(1);
  });

  it('is made once with fetch, and the response is the first one', async () => {
    const { pay } = load('with-fetch');
    const lost = newOrder();
    const response = await losingTheResponse(lost, () => pay(lost));
    expect(callReport(response)).toEqual({ attempts: 2, idempotencyKey: `order-${lost.id}` });
    expect(response.headers.get('idempotent-replayed')).toBe('true');
    expect(await response.json()).toMatchObject({ status: 'succeeded', amount: lost.amount });
    expect(await charges(lost)).toBe(1);
  });

  it('is made once with the Stripe SDK', async () => {
    const { pay } = load('stripe-sdk');
    const lost = newOrder();
    const payment = await losingTheResponse(lost, () => pay(lost));
    expect(payment.status).toBe('succeeded');
    expect(await charges(lost)).toBe(1);
  });

  it('is unknown to a client that got no response, until it asks, and paid when it sends it again', async () => {
    const { payAndReport } = load('outcome');
    const { ask } = load('question');
    const lost = newOrder();
    await expect(losingTheResponse(lost, () => payAndReport(lost), true)).resolves.toBe('unknown');
    network.heal();
    await expect(ask(lost)).resolves.toBe('finished');
    await expect(payAndReport(lost)).resolves.toBe('paid');
    expect(await charges(lost)).toBe(1);
  });

  it('was not charged where no connection was made', async () => {
    const gone = await TcpProxy.to(app.url);
    await gone.close();
    process.env.PAYMENTS_URL = gone.url.replace(/\/$/, '');
    const { payAndReport } = load('outcome');
    const unsent = newOrder();
    await expect(payAndReport(unsent)).resolves.toBe('not charged');
    process.env.PAYMENTS_URL = app.url;
    jest.resetModules();
    const { ask } = load('question');
    await expect(ask(unsent)).resolves.toBe('never arrived');
    expect(await charges(unsent)).toBe(0);
  });

  it('is told apart from a declined one, one that takes longer, and a mistake', async () => {
    const { payAndReport } = load('outcome');
    const paid = newOrder();
    await expect(payAndReport(paid)).resolves.toBe('paid');
    await expect(payAndReport({ ...paid, amount: 9_999 })).rejects.toThrow(/another request/);
    await expect(payAndReport(newOrder('pm_card_chargeDeclined'))).resolves.toBe('declined');
    await expect(payAndReport(newOrder('pm_card_authenticationRequired'))).resolves.toBe('not yet');
    await expect(payAndReport(newOrder('pm_card_of_nobody'))).rejects.toThrow(/pm_card_of_nobody/);
  });

  it('is seen by the hook', async () => {
    const { retries, send } = load('metrics');
    const print = jest.spyOn(console, 'warn').mockImplementation();
    const lost = newOrder();
    await losingTheResponse(lost, () =>
      send(`${network.url}v1/charges`, {
        method: 'POST',
        headers: { authorization: `Bearer ${app.apiKey}`, 'idempotency-key': lost.id },
        body: new URLSearchParams({ amount: String(lost.amount), currency: 'usd' }),
      }),
    );
    expect([...retries]).toEqual([['connection-lost', 1]]);
    expect(print).toHaveBeenCalledWith(
      expect.objectContaining({ reason: 'connection-lost', idempotencyKey: lost.id }),
    );
    print.mockRestore();
  });
});
