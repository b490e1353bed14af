/** The faults of the acquirer when metadata or rates ask for them, and the outcome at its caller. */
import { type GatewayOutcome } from '../../src/gateway';
import { type FaultSettings } from '../../src/sandbox-acquirer';
import { approved, charge, type HttpSite, overHttp, patient } from '../gateway/gateways.fixture';
import { faultsOf } from './acquirer-ledger.fixture';

const unknown = { outcome: 'unknown' };

let site: HttpSite;

afterEach(() => site.close());

async function tookMs(work: Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work;
  return performance.now() - begun;
}

test.each([
  ['lose_reply', 1],
  ['error_after', 1],
  ['error_before', 0],
])('metadata acquirer_fault=%s: the first try is unknown, the repeat is not', async (fault, n) => {
  site = await overHttp();
  const { gateway, lines } = site;
  const order = charge({ metadata: { acquirer_fault: fault } });
  expect(await gateway.charge('key', order, patient())).toEqual(unknown);
  expect(lines()).toHaveLength(n);
  const reference = await approved(gateway.charge('key', order, patient()));
  expect(lines()).toMatchObject([{ remoteKey: 'key', reference, metadata: order.metadata }]);
  // Another key of the same payment has a first try of its own.
  const refund = { tenant: order.tenant, reference, amount: 1, metadata: order.metadata };
  expect(await gateway.refund('refund', refund, patient())).toEqual(unknown);
  await approved(gateway.refund('refund', refund, patient()));
  expect(lines()).toHaveLength(2);
});

test('metadata acquirer_latency_ms: the first try takes so long, the repeat does not', async () => {
  site = await overHttp();
  const metadata = { acquirer_latency_ms: '300' };
  const first = approved(site.gateway.charge('key', charge({ metadata }), patient()));
  expect(await tookMs(first)).toBeGreaterThanOrEqual(299);
  const faults = faultsOf();
  const latencies = [1, 2].map(() => faults.forKey('shop', 'key', metadata, false).latencyMs);
  expect(latencies).toEqual([300, 0]);
});

test('metadata that asks for what there is not is metadata like any other', async () => {
  site = await overHttp();
  const metadata = { acquirer_fault: 'explode', acquirer_latency_ms: '-1', constructor: 'x' };
  await approved(site.gateway.charge('key', charge({ metadata }), patient()));
});

test('a latency from … to …: every call takes something between', async () => {
  const latency = { latencyMs: 40, latencyMaxMs: 200 };
  site = await overHttp(latency);
  const call = approved(site.gateway.charge('key', charge(), patient()));
  expect(await tookMs(call)).toBeGreaterThanOrEqual(39);
  const faults = faultsOf(latency);
  const drawn = Array.from({ length: 100 }, () => faults.next().latencyMs);
  expect(Math.min(...drawn)).toBeGreaterThanOrEqual(40);
  expect(Math.min(...drawn)).toBeLessThan(60);
  expect(Math.max(...drawn)).toBeGreaterThan(180);
  expect(Math.max(...drawn)).toBeLessThanOrEqual(200);
});

test.each([
  ['lose_reply', 20],
  ['error_after', 20],
  ['error_before', 0],
])('a rate of 1 of %s: every call is unknown, look-ups too', async (fault, n) => {
  const none = { error_before: 0, error_after: 0, lose_reply: 0 };
  site = await overHttp({ rates: { ...none, [fault]: 1 } });
  const order = charge();
  for (let i = 0; i < 20; i += 1) {
    expect(await site.gateway.charge(`${i}`, order, patient())).toEqual(unknown);
  }
  await expect(site.gateway.lookUp('1', order.tenant, patient())).rejects.toThrow(/did not say/);
  expect(site.lines()).toHaveLength(n);
});

test('a share of the calls goes wrong, and the same seed picks the same ones', async () => {
  const outcomes = async (seed: number) => {
    const rates: FaultSettings['rates'] = { lose_reply: 0.1, error_before: 0.1, error_after: 0 };
    site = await overHttp({ rates, seed });
    const found: GatewayOutcome['outcome'][] = [];
    for (let i = 0; i < 200; i += 1) {
      found.push((await site.gateway.charge(`${i}`, charge(), patient())).outcome);
    }
    return found;
  };
  const first = await outcomes(7);
  await site.close();
  expect(await outcomes(7)).toEqual(first);
  await site.close();
  expect(await outcomes(8)).not.toEqual(first);
  const wrong = first.filter((outcome) => outcome === 'unknown').length;
  expect(wrong).toBeGreaterThan(15);
  expect(wrong).toBeLessThan(70);
});

describe('HTTP', () => {
  const order = { kind: 'charge', amount: 1, currency: 'usd', card: 'visa', capture: true };

  test.each([
    ['no body', undefined],
    ['no JSON', '{'],
    ['another kind', { ...order, kind: 'gift' }],
    ['an amount that is text', { ...order, amount: '1' }],
    ['an amount of 0', { ...order, amount: 0 }],
    ['an amount below 0', { ...order, amount: -1 }],
    ['an amount that is no integer', { ...order, amount: 1.5 }],
    ['an amount past exact integers', { ...order, amount: 2 ** 53 }],
    ['a field that no order has', { ...order, tip: 1 }],
    ['a refund of nothing', { kind: 'refund', payment: 'acq_1', amount: 0 }],
    ['a cancel of an amount', { kind: 'cancel', payment: 'acq_1', amount: 1 }],
  ])('an order with %s is a 400 and leaves no line', async (_, body) => {
    site = await overHttp();
    const res = await fetch(`${site.url}/v1/merchants/shop/operations/key`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'object' ? JSON.stringify(body) : body,
    });
    expect(res.status).toBe(400);
    expect(await res.json()).toMatchObject({ error: { code: 'invalid_order' } });
    expect(site.lines()).toEqual([]);
  });

  test('a merchant can ask for its entries and its balance', async () => {
    site = await overHttp();
    const sold = charge();
    const reference = await approved(site.gateway.charge('key', sold, patient()));
    const merchant = `${site.url}/v1/merchants/${sold.tenant.account}`;
    expect(await (await fetch(`${merchant}/ledger`)).json()).toEqual({
      entries: [{ kind: 'charge', payment: reference, amount: 1000, remoteKey: 'key' }],
    });
    expect(await (await fetch(`${merchant}/balance?currency=usd`)).json()).toEqual({
      currency: 'usd',
      balance: 1000,
    });
    expect(await (await fetch(`${site.url}/health`)).json()).toEqual({ status: 'ok' });
  });
});
