/** The retrying fetch: one effect for each call, whatever fails, and which responses it retries. */
import { callReport } from '../../src/client';
import { eventually } from '../support/eventually';
import {
  responds,
  losesBeforeTheWork,
  losesAfterTheWork,
  breaksOffTheResponse,
  hangs,
  hangsAfterTheHeaders,
  drips,
  payment,
} from './faulty-server';
import {
  server,
  url,
  events,
  client,
  timers,
  patient,
  reasons,
  startAServerForEachTest,
  holdTheTimersOfEachTest,
} from './retries.fixture';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

startAServerForEachTest();
holdTheTimersOfEachTest();

describe('a payment whose response is lost', () => {
  it.each([
    ['before the work', losesBeforeTheWork],
    ['after the work', losesAfterTheWork],
    ['in the middle of the response', breaksOffTheResponse],
  ])('is done once when the connection breaks %s', async (_when, fault) => {
    server.plan(fault, fault);
    const response = await client()(url, payment);
    expect(await response.json()).toEqual({ id: 'pi_1', amount: 2000 });
    expect(server.effects).toBe(1);
    expect(reasons()).toEqual(['connection-lost', 'connection-lost']);
  });

  it('carries one key and the same bytes on every attempt', async () => {
    const ailing = [losesBeforeTheWork, losesAfterTheWork, breaksOffTheResponse, responds(500)];
    server.plan(...ailing, responds(503), responds(429), hangs);
    const call = patient()(url, payment);
    await eventually('one hangs', () => server.seen.length === 7);
    timers.elapse();
    const response = await call;
    expect(response.status).toBe(200);
    expect(server.seen).toHaveLength(8);
    expect(new Set(server.keys).size).toBe(1);
    expect(server.keys[0]).toMatch(uuid);
    expect(new Set(server.seen.map(({ body }) => body))).toEqual(new Set([payment.body]));
    expect(server.effects).toBe(1);
    expect(callReport(response)).toEqual({ attempts: 8, idempotencyKey: server.keys[0] });
  });

  it('gets another key for another call', async () => {
    const fetch = client();
    await fetch(url, payment);
    await fetch(url, payment);
    expect(new Set(server.keys).size).toBe(2);
    expect(server.effects).toBe(2);
  });

  it('keeps the key that the caller gave', async () => {
    server.plan(losesAfterTheWork);
    const headers = { 'Idempotency-Key': 'order-1' };
    await client()(url, { ...payment, headers });
    expect(server.keys).toEqual(['order-1', 'order-1']);
  });

  it('is retried when its response is late, to the last byte', async () => {
    server.plan(hangs, hangsAfterTheHeaders, drips(50));
    let begun = 0;
    const noting: typeof fetch = async (...sent) => {
      const response = await fetch(...sent);
      begun += 1;
      return response;
    };
    const call = patient({ fetch: noting })(url, payment);
    await eventually('the first is there', () => server.seen.length === 1);
    timers.elapse();
    for (const count of [1, 2]) {
      await eventually('a response has begun', () => begun === count);
      timers.elapse();
    }
    const response = await call;
    expect(await response.json()).toMatchObject({ id: 'pi_1' });
    expect(reasons()).toEqual(['timeout', 'timeout', 'timeout']);
    expect(server.effects).toBe(1);
    // What is no longer waited for is hung up on, too.
    await eventually(
      'three connections are closed',
      () => server.seen.filter(({ hungUp }) => hungUp).length === 3,
    );
  });

  it('waits for one that drips in time', async () => {
    server.plan(drips(5));
    const response = await patient()(url, payment);
    expect(await response.json()).toMatchObject({ id: 'pi_1' });
    expect(server.seen).toHaveLength(1);
  });
});

describe('which responses are final', () => {
  it.each([200, 201, 204, 301, 400, 401, 402, 403, 404, 409, 410, 422])(
    '%s is returned as it is',
    async (status) => {
      const headers = { 'x-mark': 'yes', 'set-cookie': ['a=1', 'b=2'] };
      server.plan(responds(status, headers, status === 204 ? '' : '{"a":"é"}'));
      const response = await client()(url, { ...payment, redirect: 'manual' });
      expect(server.seen).toHaveLength(1);
      expect(response.status).toBe(status);
      expect(response.url).toBe(url);
      expect(response.redirected).toBe(false);
      expect(response.headers.get('x-mark')).toBe('yes');
      expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
      expect(await response.text()).toBe(status === 204 ? '' : '{"a":"é"}');
      expect(callReport(response)?.gaveUp).toBeUndefined();
    },
  );

  it.each([
    [408, {}, '{}', 'server-asks'],
    [425, {}, '{}', 'server-asks'],
    [429, {}, '{}', 'rate-limited'],
    [429, { 'retry-after': '0' }, '{}', 'rate-limited'],
    [500, {}, '{}', 'server-error'],
    [503, {}, '{}', 'server-error'],
    [503, { 'retry-after': '0' }, '{}', 'server-error'],
    [409, { 'retry-after': '0' }, '{}', 'in-use'],
    [409, { 'stripe-should-retry': 'true' }, '{}', 'in-use'],
    [409, {}, '{"error":{"code":"idempotency_key_in_use"}}', 'in-use'],
    [409, {}, '{"code":"idempotency_key_in_use"}', 'in-use'],
    [400, { 'stripe-should-retry': 'true' }, '{}', 'server-asks'],
  ])('%s with %j and %s is not', async (status, headers, body, reason) => {
    server.plan(responds(status, headers, body));
    const response = await client()(url, payment);
    expect(response.status).toBe(200);
    expect(events).toMatchObject([
      { attempt: 1, reason, status, method: 'POST', url, idempotencyKey: server.keys[0] },
    ]);
  });

  it.each([429, 500, 503, 409])('%s is, where the server says so', async (status) => {
    server.plan(responds(status, { 'stripe-should-retry': 'false', 'retry-after': '0' }));
    const response = await client()(url, payment);
    expect(response.status).toBe(status);
    expect(server.seen).toHaveLength(1);
  });

  it('a success is, whatever the server says', async () => {
    server.plan(responds(200, { 'stripe-should-retry': 'true' }));
    expect((await client()(url, payment)).status).toBe(200);
    expect(server.seen).toHaveLength(1);
  });
});
