/** R7b: a key belongs to the route with all that selects it, and rows of the form before are compared as before. */
import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import type { HttpRequest } from '../../../src/idempotency';
import { digestsOf, fingerprintOf } from '../../../src/idempotency/request/fingerprint';
import type { Adapter, Shop } from '../shop.fixture';
import { Client } from './client.fixture';
import { openEnhancedShop } from './enhanced-shop.fixture';
import {
  AnyHost,
  FirstVersion,
  NeutralVersion,
  OtherHost,
  SecondVersion,
  TenantHost,
  VERSIONING_KINDS,
} from './routes.fixture';

const ADAPTERS: readonly Adapter[] = ['fastify', 'express'];
const VERSIONED = [FirstVersion, SecondVersion, NeutralVersion];

/** The operation in the row of a key. */
async function operationOf(shop: Shop, key: string): Promise<string | undefined> {
  const [row] = await shop.dataSource.query<{ operation: string }[]>(
    'SELECT operation FROM idempotency_keys WHERE key = $1',
    [key],
  );
  return row?.operation;
}

describe.each(
  ADAPTERS.flatMap((adapter) => VERSIONING_KINDS.map((versioning) => ({ adapter, ...versioning }))),
)('R7b a route that $kind versioning selects, on $adapter', ({ adapter, enable, ask, kind }) => {
  let shop: Shop;
  let client: Client;
  beforeAll(async () => {
    shop = await openEnhancedShop(adapter, { controllers: VERSIONED, configure: enable });
    client = new Client(shop);
  });
  afterAll(() => shop.close());
  const send = (version: string, key: string) => {
    const { path, headers } = ask(version);
    return client.send(path, key, { headers });
  };

  it('never gets the response of another version, and replays its own', async () => {
    for (const [first, other] of [
      ['1', '2'],
      ['2', '1'],
      ['1', '3'],
    ] as const) {
      const key = randomUUID();
      const ran = await send(first, key);
      expect(JSON.parse(ran.text)).toMatchObject({ by: first });
      const reused = await send(other, key);
      expect([reused.status, reused.text]).toEqual([422, expect.stringContaining('(version)')]);
      expect((await send(first, key)).text).toBe(ran.text);
      expect(await operationOf(shop, key)).toContain(
        first === '2' ? '(version 2, 2.1)' : `(version ${first})`,
      );
    }
  });

  it('is one operation in all versions that it declares, unless its path has the version', async () => {
    const key = randomUUID();
    const first = await send('2', key);
    const second = await send('2.1', key);
    if (kind === 'URI') expect(second.status).toBe(422);
    else expect(second.text).toBe(first.text);
  });

  it('names no version where it serves every one, but that it does', async () => {
    const key = randomUUID();
    const first = await client.send('/neutral', key);
    expect(first.status).toBe(201);
    expect((await client.send('/neutral', key)).text).toBe(first.text);
    expect(await operationOf(shop, key)).toMatch(/\(version Symbol\(\w+\)\)$/);
  });
});

/** `fetch` sends no Host of one's own. */
async function sendTo(shop: Shop, host: string, key: string) {
  const sent = httpRequest(`${shop.url}/hosted`, {
    method: 'POST',
    headers: { host, authorization: 'a', 'idempotency-key': key },
  }).end();
  return new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', (response) => {
      void text(response).then((body) => resolve({ status: response.statusCode, text: body }));
    });
  });
}

describe('R7b a route that the host selects', () => {
  it('never gets the response of another pattern; the hosts of one pattern are one operation', async () => {
    // Fastify takes one controller a path, whatever the host.
    const shop = await openEnhancedShop('express', {
      controllers: [TenantHost, OtherHost, AnyHost],
    });
    try {
      const key = randomUUID();
      const first = await sendTo(shop, 'a.example.com', key);
      expect(JSON.parse(first.text)).toMatchObject({ by: 'tenant' });
      for (const other of ['a.example.org', 'localhost']) {
        const reused = await sendTo(shop, other, key);
        expect([other, reused.status]).toEqual([other, 422]);
        expect(reused.text).toContain('(host)');
      }
      expect((await sendTo(shop, 'b.example.com', key)).text).toBe(first.text);
      expect(await operationOf(shop, key)).toBe('POST /hosted (host :tenant.example.com)');
      const another = randomUUID();
      expect((await sendTo(shop, 'a.example.org', another)).status).toBe(201);
      expect(await operationOf(shop, another)).toContain('(host /^[a-z]+');
    } finally {
      await shop.close();
    }
  });

  it('has its pattern in the operation on Fastify too, never the host that was sent', async () => {
    const shop = await openEnhancedShop('fastify', { controllers: [TenantHost] });
    try {
      const key = randomUUID();
      const first = await sendTo(shop, 'a.example.com', key);
      expect(first.status).toBe(201);
      expect((await sendTo(shop, 'b.example.com', key)).text).toBe(first.text);
      expect(await operationOf(shop, key)).toBe('POST /hosted (host :tenant.example.com)');
    } finally {
      await shop.close();
    }
  });
});

describe.each(ADAPTERS)('R7 a row of the form before, on %s', (adapter) => {
  let shop: Shop;
  let client: Client;
  const header = VERSIONING_KINDS.find(({ kind }) => kind === 'header');
  const headers = { 'x-api-version': '1' };
  beforeAll(async () => {
    shop = await openEnhancedShop(adapter, {
      controllers: VERSIONED,
      options: { replayMemoryBytes: 0 },
      configure: (app) => header?.enable(app),
    });
    client = new Client(shop);
  });
  afterAll(() => shop.close());

  /** Runs a request, and makes its row what the release before would have stored. */
  async function storeInForm1(key: string, body: object): Promise<string> {
    const first = await client.send('/versioned', key, { body, headers });
    const asSent: HttpRequest = {
      method: 'POST',
      url: '/versioned',
      headers: { 'content-type': 'application/json' },
      body,
    };
    await shop.dataSource.query(
      `UPDATE idempotency_keys
          SET operation = 'POST /versioned', fingerprint_version = 1, fingerprint = $2, parameters = $3
        WHERE key = $1`,
      [key, Buffer.from(fingerprintOf(asSent, {}, 1)?.hash ?? '', 'hex'), digestsOf(asSent, {}, 1)],
    );
    return first.text;
  }

  it('is replayed to the same request, and refused to another in words that fit its form', async () => {
    const key = randomUUID();
    const first = await storeInForm1(key, { amount: 1 });
    const again = await client.send('/versioned', key, { body: { amount: 1 }, headers });
    expect([again.headers.get('idempotent-replayed'), again.text]).toEqual(['true', first]);
    const reused = await client.send('/versioned', key, { body: { amount: 2 }, headers });
    expect(reused.status).toBe(422);
    expect(reused.text).toContain('differs from it in: amount.');
  });

  it('is decided as the release before decided it, which knew no versions', async () => {
    const key = randomUUID();
    const first = await storeInForm1(key, {});
    const other = await client.send('/versioned', key, { headers: { 'x-api-version': '2' } });
    expect([other.headers.get('idempotent-replayed'), other.text]).toEqual(['true', first]);
  });
});
