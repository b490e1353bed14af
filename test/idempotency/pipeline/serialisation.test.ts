/** A response is stored as it was sent, after every serialiser, and replayed to the byte. */
import { randomUUID } from 'node:crypto';
import { ClassSerializerInterceptor } from '@nestjs/common';
import { APP_INTERCEPTOR, Reflector } from '@nestjs/core';
import { type Adapter, openShop, type Shop } from '../shop.fixture';
import { noConnectionIsLentOut, noTransactionIsOpen } from '../shop-database.fixture';
import { Client } from './client.fixture';
import { openEnhancedShop, OrderWriter } from './enhanced-shop.fixture';
import { BODIES, compress, SerialisedController } from './serialisation.fixture';

describe.each<Adapter>(['fastify', 'express'])('serialisation on %s', (adapter) => {
  let shop: Shop;
  let client: Client;
  beforeAll(async () => {
    shop = await openEnhancedShop(adapter, { controllers: [SerialisedController] });
    client = new Client(shop);
  });
  afterAll(() => shop.close());
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  it('R15 a replay leaks no field that a global serialiser left out of the first response', async () => {
    const [first] = await client.sendTwice('/serialised/excluded');
    expect(first.text).toMatch(/^\{"id":\d+\}$/);
  });

  it('R15 an outer interceptor that wraps bodies wraps the stored response once, not twice', async () => {
    const [first] = await client.sendTwice('/serialised/excluded', {
      headers: { 'x-outer': 'wrap' },
    });
    expect(first.text).toMatch(/^\{"data":\{"id":(\d+)\},"id":\1\}$/);
  });

  it('R15 the body that was stored is the one that was sent, whatever the outer interceptor of the replay', async () => {
    const key = randomUUID();
    const first = await client.send('/serialised/excluded', key, {
      headers: { 'x-outer': 'wrap' },
    });
    const second = await client.send('/serialised/excluded', key);
    expect(second.text).toBe(first.text);
  });

  it.each(Object.keys(BODIES))('R15 a body that is %s is replayed as it is', async (kind) => {
    const [first] = await client.sendTwice(`/serialised/body/${kind}`);
    expect(first.status).toBe(201);
    if (kind === 'buffer' && adapter === 'fastify') {
      expect(first.bytes.equals(BODIES['buffer'] as Buffer)).toBe(true);
    }
    if (kind === 'number') expect(first.text).toBe('42');
    if (kind === 'big') expect(first.bytes.length).toBeGreaterThan(1024 * 1024);
  });

  it('R15 status and headers that decorators set are replayed where they are stored', async () => {
    const [first, second] = await client.sendTwice('/serialised/coded');
    expect(first.status).toBe(202);
    expect(second.headers.get('x-kept')).toBe('kept');
    expect(first.headers.get('x-made')).toBe('here');
    expect(second.headers.get('x-made')).toBe('here'); // the decorator sets it, replay or not
    expect(second.headers.get('location')).toBe('/there');
  });

  it('R15 cookies come with the first response as they were set, and are never replayed', async () => {
    const [first, second] = await client.sendTwice('/serialised/coded');
    expect(first.headers.getSetCookie()).toEqual(['one=1; Path=/', 'two=2; Path=/']);
    expect(second.headers.getSetCookie()).toEqual([]);
  });

  it('R15 without a key cookies are untouched as well', async () => {
    const sent = await client.send('/serialised/coded');
    expect(sent.headers.getSetCookie()).toEqual(['one=1; Path=/', 'two=2; Path=/']);
  });

  it('R15 a redirect is replayed to the same place', async () => {
    const [first, second] = await client.sendTwice('/serialised/redirected');
    expect([first.status, second.status]).toEqual([303, 303]);
    expect(first.headers.get('location')).toMatch(/^\/orders\/\d+$/);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
  });

  it('R15 a response without content has no content and no length, first and replayed', async () => {
    for (const sent of await client.sendTwice('/serialised/no-content')) {
      expect(sent.status).toBe(204);
      expect(sent.bytes).toHaveLength(0);
      expect(sent.headers.get('content-length')).toBeNull();
    }
  });
});

describe.each<Adapter>(['fastify', 'express'])('a serialiser outside, on %s', (adapter) => {
  it('R15 leaks nothing in a replay, and finds the same bytes as the first response', async () => {
    const shop = await openShop(adapter, {
      controllers: [SerialisedController],
      providers: [
        OrderWriter,
        {
          provide: APP_INTERCEPTOR,
          inject: [Reflector],
          useFactory: (reflector: Reflector) => new ClassSerializerInterceptor(reflector),
        },
      ],
    });
    try {
      const key = randomUUID();
      const first = await shop.post('/serialised/excluded', {}, key);
      const second = await shop.post('/serialised/excluded', {}, key);
      expect(first.text).toMatch(/^\{"id":\d+\}$/);
      expect(second.text).toBe(first.text);
      expect(second.headers.get('idempotent-replayed')).toBe('true');
    } finally {
      await shop.close();
    }
  });
});

describe.each<Adapter>(['fastify', 'express'])('compression on %s', (adapter) => {
  it('R15 reaches the client once, in the first response and in the replay', async () => {
    const shop = await openShop(adapter, { configure: (app) => compress(app, adapter) });
    try {
      const key = randomUUID();
      const first = await shop.post('/orders', { amount: 5 }, key);
      const second = await shop.post('/orders', { amount: 5 }, key);
      expect(first.json).toMatchObject({ runs: 1 });
      expect(second.text).toBe(first.text);
      for (const { headers } of [first, second]) {
        expect(headers.get('content-encoding')).toBe('gzip');
      }
    } finally {
      await shop.close();
    }
  });
});
