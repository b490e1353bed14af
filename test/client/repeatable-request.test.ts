/** A request is sent the same each time, or refused before the first attempt. */
import { callReport, RetryError } from '../../src/client';
import { responds, losesBeforeTheWork, failure } from './faulty-server';
import { server, url, events, client, startAServerForEachTest } from './retries.fixture';

const FORM = 'application/x-www-form-urlencoded;charset=UTF-8';
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

startAServerForEachTest();

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
