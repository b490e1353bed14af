/** The retrying fetch: one effect for each call, whatever fails, and what it retries. */
import { createRetryingFetch, callReport, RetryError, type RetryEvent } from '../../src/client';
import { setImmediate as turn } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import { type HeldTimers, holdTimers } from '../support/held-timers';
import {
  responds,
  breaksOffTheResponse,
  drips,
  floods,
  failure,
  FaultyServer,
  hangs,
  hangsAfterTheHeaders,
  losesAfterTheWork,
  losesBeforeTheWork,
  payment,
} from './faulty-server';

const FORM = 'application/x-www-form-urlencoded;charset=UTF-8';
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let server: FaultyServer;
let events: RetryEvent[];
let url: string;

beforeEach(async () => {
  server = await FaultyServer.start();
  url = `${server.url}/v1/payment_intents`;
  events = [];
});
afterEach(() => server.close());

/** Quick pauses, so that a test of what is retried need not wait. */
const client = (options: Parameters<typeof createRetryingFetch>[0] = {}) =>
  createRetryingFetch({ baseDelayMs: 2, onRetry: (event) => events.push(event), ...options });

/** A client whose attempts time out when `timers.elapse()` says so. */
const TIMEOUT_MS = 3_600_000;
const patient = (options: Parameters<typeof createRetryingFetch>[0] = {}) =>
  client({ attemptTimeoutMs: TIMEOUT_MS, deadlineMs: 24 * TIMEOUT_MS, ...options });
let timers: HeldTimers;
beforeEach(() => (timers = holdTimers((ms) => ms === TIMEOUT_MS)));
afterEach(() => timers.restore());

const reasons = () => events.map(({ reason }) => reason);

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

describe('what is sent', () => {
  it.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])(
    '%s is repeated without a key',
    async (method) => {
      server.plan(losesBeforeTheWork);
      const response = await client()(url, { method });
      expect(response.status).toBe(200);
      expect(server.keys).toEqual([undefined, undefined]);
      expect(callReport(response)).toEqual({ attempts: 2, idempotencyKey: undefined });
    },
  );

  it.each(['POST', 'PATCH', 'post', 'PROPPATCH'])('%s gets a key', async (method) => {
    server.plan(losesBeforeTheWork);
    await client()(url, { method });
    expect(server.keys[0]).toMatch(uuid);
    expect(server.keys[1]).toBe(server.keys[0]);
  });

  const bytes = new TextEncoder().encode('xa=1x').subarray(1, 4);
  const form = new FormData();
  form.set('note', 'é');
  form.set('file', new File(['content'], 'a.txt', { type: 'text/plain' }));
  it.each([
    ['a string', 'a=1', 'text/plain;charset=UTF-8'],
    ['form fields', new URLSearchParams({ a: '1' }), FORM],
    ['bytes', bytes, undefined],
    ['a Buffer', Buffer.from('a=1'), undefined],
    ['an ArrayBuffer', bytes.slice().buffer, undefined],
    ['a Blob', new Blob(['a=1'], { type: 'text/csv' }), 'text/csv'],
    ['a multipart form', form, expect.stringMatching(/^multipart\/form-data; boundary=/)],
  ])('%s is the same each time, with its type', async (_what, body, type) => {
    server.plan(losesBeforeTheWork, responds(500));
    await client()(url, { method: 'POST', body });
    const sent = server.seen.map((request) => [request.headers['content-type'], request.body]);
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map((each) => JSON.stringify(each))).size).toBe(1);
    expect(sent[0]?.[0]).toEqual(type);
    if (body !== form) expect(sent[0]?.[1]).toBe('a=1');
    else expect(sent[0]?.[1]).toContain('content');
  });

  it('is what it was when fetch was called', async () => {
    server.plan(losesBeforeTheWork);
    const body = new URLSearchParams({ amount: '2000' });
    const call = client({ onRetry: () => body.set('amount', '1') })(url, {
      method: 'POST',
      body,
    });
    body.set('amount', '2');
    await call;
    expect(server.seen.map((request) => request.body)).toEqual(['amount=2000', 'amount=2000']);
  });

  it('may be a Request, whose body, headers and method are kept', async () => {
    server.plan(losesBeforeTheWork, responds(503));
    const headers = { 'content-type': 'application/json', 'x-mark': 'yes' };
    const response = await client()(new Request(url, { method: 'POST', body: '{"a":1}', headers }));
    expect(await response.json()).toMatchObject({ id: 'pi_1' });
    expect(server.seen).toHaveLength(3);
    for (const { method, body, headers: got } of server.seen) {
      expect([method, body]).toEqual(['POST', '{"a":1}']);
      expect(got).toMatchObject({ ...headers, 'idempotency-key': server.keys[0] });
    }
  });

  it('may be a Request without a body, or one that init overrides', async () => {
    server.plan(losesBeforeTheWork);
    await client()(new Request(url));
    await client()(new URL(url), { method: 'DELETE' });
    server.plan(losesBeforeTheWork);
    const request = new Request(url, { method: 'POST', body: 'no', headers: { 'x-mark': 'no' } });
    const init = { method: 'PATCH', body: 'yes', headers: { 'x-mark': 'yes' } };
    await client()(request, init);
    const sent = server.seen.map(({ method, body }) => `${method} ${body}`);
    expect(sent).toEqual(['GET ', 'GET ', 'DELETE ', 'PATCH yes', 'PATCH yes']);
    expect(server.seen[4]?.headers['x-mark']).toBe('yes');
  });

  it('is refused before the first attempt when it is a stream', async () => {
    const body = new Blob(['a']).stream();
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
    const error = await failure(client()(`${url}?secret=1`, init));
    expect(error).toBeInstanceOf(RetryError);
    expect(error).toMatchObject({ reason: 'not-repeatable', attempts: 0, mayHaveExecuted: false });
    expect(error.message).toBe(
      `POST ${url} was not sent: its body is a stream, which can be sent only once. Read it into a ` +
        'Blob, a string or bytes first, or use plain fetch for it.',
    );
    expect(server.seen).toHaveLength(0);
  });

  it('is refused before the first attempt when a Request has more than can be held', async () => {
    const chunk = new Uint8Array(4_194_304);
    let pulled = 0;
    let cancelled = false;
    const endless = new ReadableStream({
      pull: (controller) => {
        pulled += 1;
        controller.enqueue(chunk);
      },
      cancel: () => void (cancelled = true),
    });
    const init = { method: 'POST', body: endless, duplex: 'half' } as RequestInit;
    const error = await failure(client()(new Request(url, init)));
    expect(error).toMatchObject({ reason: 'not-repeatable', attempts: 0 });
    expect(error.message).toContain('longer than the 16777216 bytes');
    expect(pulled).toBeLessThan(8);
    expect(cancelled).toBe(true);
    expect(server.seen).toHaveLength(0);
  });

  it('goes straight to fetch where the scheme is neither http nor https', async () => {
    const response = await client()('data:text/plain,hello');
    expect(await response.text()).toBe('hello');
    expect(callReport(response)).toBeUndefined();
  });

  it('is refused as fetch would refuse it, without a retry', async () => {
    const fetch = client();
    const refused = { name: 'TypeError' };
    await expect(fetch('/relative')).rejects.toMatchObject(refused);
    await expect(fetch(url, { headers: { 'a b': 'c' } })).rejects.toMatchObject(refused);
    const bodyOfGet = { method: 'GET', body: 'a' };
    await expect(fetch(url, bodyOfGet)).rejects.toMatchObject(refused);
    await expect(fetch(url, { method: 'TRACE' })).rejects.toMatchObject(refused);
    expect(events).toEqual([]);
  });
});

describe("a caller's key", () => {
  const headers = { 'Idempotency-Key': 'order-1' };

  it.each([
    ['another body', { body: 'amount=2001&currency=usd' }, ''],
    ['another method', { method: 'PATCH' }, ''],
    ['another address', {}, '?expand[]=customer'],
  ])('is refused with %s before it is sent', async (_what, other, query) => {
    const fetch = client();
    await fetch(url, { ...payment, headers });
    const error = await failure(fetch(url + query, { ...payment, headers, ...other }));
    expect(error).toMatchObject({
      name: 'RetryError',
      reason: 'key-reused',
      attempts: 0,
      mayHaveExecuted: false,
      idempotencyKey: 'order-1',
    });
    expect(error.message).toContain('use a new key for a new operation');
    expect(server.seen).toHaveLength(1);
  });

  it('is refused while the first request is still running', async () => {
    const fetch = client();
    server.plan(drips(5));
    const first = fetch(url, { ...payment, headers });
    await eventually('the first is there', () => server.seen.length === 1);
    const error = await failure(fetch(url, { ...payment, headers, body: 'amount=1' }));
    expect(error.reason).toBe('key-reused');
    expect((await first).status).toBe(200);
  });

  it('goes to one of two requests that begin at the same moment', async () => {
    const fetch = client();
    const calls = ['amount=1', 'amount=2'].map((body) => fetch(url, { ...payment, headers, body }));
    const ends = await Promise.allSettled(calls);
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(server.seen).toHaveLength(1);
  });

  it('may be sent again with the same request, and belongs to who sends it', async () => {
    const fetch = client();
    await fetch(url, { ...payment, headers });
    await fetch(new Request(url, { ...payment, headers }));
    const other = { ...headers, authorization: 'Bearer sk_other' };
    await fetch(url, { ...payment, headers: other, body: 'amount=1' });
    expect(server.seen).toHaveLength(3);
  });

  it('may be sent with a corrected request after a refusal, which is up to the server', async () => {
    const fetch = client();
    server.plan(responds(400));
    await fetch(url, { ...payment, headers, body: 'amount=' });
    expect((await fetch(url, { ...payment, headers })).status).toBe(200);
  });

  it('stays bound to its request when the outcome is not known', async () => {
    const fetch = client({ maxAttempts: 1 });
    server.plan(responds(409, { 'retry-after': '0' }));
    expect((await fetch(url, { ...payment, headers })).status).toBe(409);
    server.plan(losesAfterTheWork);
    await failure(fetch(url, { ...payment, headers }));
    const error = await failure(fetch(url, { ...payment, headers, body: 'amount=1' }));
    expect(error.reason).toBe('key-reused');
  });

  it('is remembered for the last thousand keys', async () => {
    const fetch = client({ fetch: () => Promise.resolve(new Response('{}')) });
    const send = (key: string, body: string) =>
      fetch(url, { method: 'POST', body, headers: { 'Idempotency-Key': key } });
    await send('first', 'a');
    for (let n = 0; n < 999; n += 1) await send(`key-${n}`, 'a');
    await send('key-0', 'a'); // used again; 'first' is the oldest now
    await send('one more', 'a');
    expect((await send('first', 'b')).status).toBe(200);
    expect((await failure(send('key-0', 'b'))).reason).toBe('key-reused');
  });

  it('may be used for a form with files again, though its boundary is another one', async () => {
    const fetch = client();
    const form = () => {
      const body = new FormData();
      body.set('file', new File(['content'], 'a.txt'));
      return body;
    };
    await fetch(url, { method: 'POST', headers, body: form() });
    expect((await fetch(url, { method: 'POST', headers, body: form() })).status).toBe(200);
  });
});

describe('long responses', () => {
  const megabytes = (count: number) => 'x'.repeat(count * 1_048_576);

  it('are whole, whether they are held or handed on', async () => {
    for (const body of [megabytes(0.5), megabytes(3)]) {
      server.plan(responds(200, {}, body));
      const response = await client()(url);
      expect(response.url).toBe(url);
      expect(await response.text()).toBe(body);
    }
  });

  it('are handed on while they come, past the time-out, until the caller aborts', async () => {
    const event = 'data: 1\n\n';
    let more = (): unknown => undefined;
    server.plan(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(event);
      more = () => response.write(event);
    });
    const abort = new AbortController();
    const response = await patient()(url, { signal: abort.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decode = async () => new TextDecoder().decode((await reader.read()).value);
    expect(await decode()).toBe(event);
    timers.elapse();
    more();
    expect(await decode()).toBe(event);
    abort.abort(new Error('enough'));
    await expect(reader.read()).rejects.toThrow('enough');
    await eventually('the connection is closed', () => server.seen[0]?.hungUp === true);
    expect(server.seen).toHaveLength(1);
  });

  it('are hung up on when the caller cancels them', async () => {
    server.plan(floods(200));
    const response = await client()(url);
    await response.body?.cancel();
    await eventually('the connection is closed', () => server.seen[0]?.hungUp === true);
  });

  it('may break off while the next attempt is waited for', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    let breakOff = (): unknown => undefined;
    server.plan(({ response }) => {
      response.writeHead(503).write(`${megabytes(1)}x`);
      breakOff = () => response.socket?.destroy();
    });
    const pauses = { baseDelayMs: TIMEOUT_MS, maxDelayMs: TIMEOUT_MS, jitter: 'none' } as const;
    const call = client({ ...pauses, deadlineMs: 24 * TIMEOUT_MS })(url, payment);
    await eventually('the next attempt is waited for', () => timers.waiting === 1);
    breakOff();
    await eventually('it has broken off', () => server.seen[0]?.hungUp === true);
    timers.elapse();
    expect((await call).status).toBe(200);
    await turn();
    expect(unhandled).not.toHaveBeenCalled();
    process.off('unhandledRejection', unhandled);
  });

  it('are hung up on when another attempt has brought a better one', async () => {
    server.plan(floods(503));
    expect((await client()(url, payment)).status).toBe(200);
    await eventually('the connection is closed', () => server.seen[0]?.hungUp === true);
  });
});
