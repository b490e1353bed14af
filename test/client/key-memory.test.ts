/** A key that the caller chose belongs to one request. */
import { eventually } from '../support/eventually';
import { responds, losesAfterTheWork, drips, failure, payment } from './faulty-server';
import { server, url, client, startAServerForEachTest } from './retries.fixture';

startAServerForEachTest();

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
