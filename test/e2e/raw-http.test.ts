/** What the SDK hides: headers, statuses and bodies as they are on the wire. */
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { AccountsService } from '../../src/accounts';
import { type RunningApp, startApp } from '../support/app';

const PAYMENT = 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true';

let shop: RunningApp;
beforeAll(async () => {
  shop = await startApp();
});
afterAll(() => shop.close());

interface Sent {
  readonly path?: string;
  readonly body?: string;
  readonly key?: string;
  readonly at?: RunningApp;
  readonly headers?: Record<string, string>;
}

async function post({
  path = '/v1/payment_intents',
  body = PAYMENT,
  key,
  at = shop,
  headers = {},
}: Sent) {
  const response = await fetch(`${at.url}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${at.apiKey}`,
      'content-type': 'application/x-www-form-urlencoded',
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...headers,
    },
    body,
  });
  const bytes = await response.text();
  const json = JSON.parse(bytes) as { id?: string; error?: Record<string, string> };
  return { status: response.status, headers: response.headers, bytes, json, error: json.error };
}

describe('a key on the wire', () => {
  it('R2 is required where money moves, with an error that says why and how', async () => {
    for (const path of ['/v1/payment_intents', '/v1/charges', '/v1/refunds']) {
      const { status, error, headers } = await post({ path, body: 'amount=100&currency=usd' });
      expect([status, error?.['code']]).toEqual([400, 'idempotency_key_missing']);
      expect(error?.['type']).toBe('invalid_request_error');
      expect(headers.get('request-id')).toMatch(/^req_/);
      expect(headers.get('stripe-should-retry')).toBe('false');
    }
    expect((await post({ path: '/v1/customers', body: '' })).status).toBe(200);
  });

  it('R2 is required everywhere or nowhere, as the setting says', async () => {
    const [everywhere, nowhere] = await Promise.all(
      ['all', 'none'].map((required) => startApp({ env: { IDEMPOTENCY_KEY_REQUIRED: required } })),
    );
    const refused = await post({ at: everywhere, path: '/v1/customers', body: '' });
    expect(refused.error?.['code']).toBe('idempotency_key_missing');
    const paid = await post({ at: nowhere });
    expect(paid.status).toBe(200);
    const key = paid.headers.get('idempotency-key') ?? '';
    expect(key).toMatch(/^server-made-/);
    const replay = await post({ at: nowhere, key });
    expect(replay.bytes).toBe(paid.bytes);
    await Promise.all([everywhere?.close(), nowhere?.close()]);
  });

  it('R1 sent twice is refused, though it reaches the server as one value', async () => {
    const socket = connect(shop.port, '127.0.0.1');
    socket.write(
      `POST /v1/payment_intents HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${shop.apiKey}\r\n` +
        `content-type: application/x-www-form-urlencoded\r\ncontent-length: ${PAYMENT.length}\r\n` +
        `idempotency-key: a\r\nIdempotency-Key: b\r\nconnection: close\r\n\r\n${PAYMENT}`,
    );
    const res = await text(socket);
    expect(res).toMatch(/^HTTP\/1\.1 400 /);
    expect(res).toContain('idempotency_key_invalid');
  });

  it('R7 reused is a 409 to a client without Stripe-Version, a 400 to one with it', async () => {
    const key = randomUUID();
    await post({ key });
    const other = PAYMENT.replace('2000', '2100');
    const plain = await post({ key, body: other });
    expect([plain.status, plain.error?.['type']]).toEqual([409, 'idempotency_error']);
    const versioned = await post({ key, body: other, headers: { 'stripe-version': '2026-01-01' } });
    expect([versioned.status, versioned.error?.['code']]).toEqual([400, 'idempotency_key_reused']);
    expect(plain.headers.get('idempotent-replayed')).toBeNull();
  });

  it('R7 a form and a JSON body of the same meaning are two requests', async () => {
    const key = randomUUID();
    const body = JSON.stringify({ name: 'Ada' });
    await post({ key, path: '/v1/customers', body: 'name=Ada' });
    const json = { 'content-type': 'application/json' };
    const other = await post({ key, path: '/v1/customers', body, headers: json });
    expect(other.status).toBe(409);
  });

  it('R7 parameters in another order are the same request, telemetry headers are no part of it', async () => {
    const key = randomUUID();
    const first = await post({ key, headers: { 'x-stripe-client-telemetry': '1' } });
    const shuffled = PAYMENT.split('&').toReversed().join('&');
    const second = await post({
      key,
      body: shuffled,
      headers: { 'x-stripe-client-telemetry': '2' },
    });
    expect(second.bytes).toBe(first.bytes);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
  });

  it('R6 R15 a replay after the object has changed is still the first answer', async () => {
    const key = randomUUID();
    const first = await post({ key });
    await post({ key: randomUUID(), path: '/v1/refunds', body: `payment_intent=${first.json.id}` });
    await post({
      key: randomUUID(),
      path: `/v1/payment_intents/${first.json.id}`,
      body: 'description=x',
    });
    expect((await post({ key })).bytes).toBe(first.bytes);
  });

  it('a key that was revoked replays nothing within a second', async () => {
    const accounts = shop.app.get(AccountsService);
    const { key: apiKey, id } = await accounts.createKey('shop', false);
    const authorization = `Basic ${Buffer.from(`${apiKey}:`).toString('base64')}`;
    const key = randomUUID();
    expect((await post({ key, headers: { authorization } })).status).toBe(200);
    await accounts.revokeKey('shop', id);
    const refused = await post({ key, headers: { authorization } });
    expect([refused.status, refused.error?.['type']]).toEqual([401, 'invalid_request_error']);
    expect(refused.headers.get('idempotent-replayed')).toBeNull();
  });

  it('R23 is not used up for an id that looks like a card number, which its answer would repeat', async () => {
    const key = randomUUID();
    const number = '4242424242424242';
    for (const path of [`/v1/customers/${number}`, `/v1/payment_intents/${number}/cancel`]) {
      const refused = await post({ key, path, body: '' });
      expect([refused.status, refused.error?.['code']]).toEqual([400, 'card_number_refused']);
      expect(refused.bytes).not.toContain(number);
    }
    expect((await post({ key })).status).toBe(200);
  });

  it('R14 a request refused before the handler leaves its key free', async () => {
    const key = randomUUID();
    const refusals = [
      await post({ key, headers: { authorization: 'Bearer sk_test_wrong' } }),
      await post({ key, path: '/v1/nowhere' }),
      await post({ key, body: `${PAYMENT}&colour=red` }),
      await post({ key, headers: { 'content-type': 'text/plain' } }),
      await post({ key, body: `description=${'x'.repeat(1_100_000)}` }),
    ];
    expect(refusals.map(({ status }) => status)).toEqual([401, 404, 400, 415, 413]);
    expect((await post({ key })).status).toBe(200);
  });
});
