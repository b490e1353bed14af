/** The order of interceptors around `@Idempotent()`: inside where they are written above it, else outside (R14). */
import { randomUUID } from 'node:crypto';
import { APP_INTERCEPTOR, ApplicationConfig } from '@nestjs/core';
import { type Adapter, openShop, type Shop } from '../shop.fixture';
import { countOrders, noConnectionIsLentOut, noTransactionIsOpen } from '../shop-database.fixture';
import { Client } from './client.fixture';
import { OrderWriter } from './enhanced-shop.fixture';
import {
  BareController,
  MappingInterceptor,
  OrderlyController,
  seen,
} from './interceptor-order.fixture';

describe.each<Adapter>(['fastify', 'express'])('interceptors on %s', (adapter) => {
  let shop: Shop;
  let client: Client;
  beforeAll(async () => {
    shop = await openShop(adapter, {
      controllers: [OrderlyController],
      providers: [OrderWriter, { provide: APP_INTERCEPTOR, useClass: MappingInterceptor }],
    });
    client = new Client(shop);
  });
  afterAll(() => shop.close());
  beforeEach(() => {
    Object.assign(seen, { ran: [], values: [], errors: [] });
  });
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  it('those above the decorator run with the handler, all others for a replay too', async () => {
    const key = randomUUID();
    const first = await client.send('/interceptors/all', key);
    expect(seen.ran).toEqual(['global', 'controller', 'below', 'above', 'handler']);
    seen.ran = [];
    const second = await client.send('/interceptors/all', key);
    expect(seen.ran).toEqual(['global', 'controller', 'below']);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(second.text).toBe(first.text);
  });

  it('an outer interceptor that maps the value gets the stored one on a replay, and the stored bytes are sent', async () => {
    const [first] = await client.sendTwice('/interceptors/all');
    expect(JSON.parse(first.text)).toEqual({ order: expect.any(Number), next: expect.any(Number) });
    expect(seen.values[1]).toEqual(JSON.parse(first.text));
    expect(seen.errors).toEqual([]);
  });

  it('an outer interceptor gets the problem of a refused request as its value', async () => {
    const key = randomUUID();
    await client.send('/interceptors/all', key);
    const reused = await client.send('/interceptors/all', key, { body: { other: 1 } });
    expect(reused.status).toBe(422);
    expect(seen.values[1]).toMatchObject({ code: 'idempotency_key_reused' });
    expect(seen.errors).toEqual([]);
  });

  it('R9 what an inner interceptor writes is in the transaction of the handler', async () => {
    const before = await countOrders(shop);
    const key = randomUUID();
    const broken = await client.send('/interceptors/writing', key, { body: { broken: true } });
    expect(broken.status).toBe(500);
    expect(await countOrders(shop)).toBe(before);
    await client.sendTwice('/interceptors/writing');
    expect(await countOrders(shop)).toBe(before + 1);
  });
});

describe.each<Adapter>(['fastify', 'express'])('no interceptor around it, on %s', (adapter) => {
  it('routes without the decorator have none, and a replay parses no stored body', async () => {
    const shop = await openShop(adapter, { controllers: [BareController] });
    try {
      expect(shop.app.get(ApplicationConfig, { strict: false }).getGlobalInterceptors()).toEqual(
        [],
      );
      const client = new Client(shop);
      const parse = jest.spyOn(JSON, 'parse');
      await client.sendTwice('/bare');
      const parsed = parse.mock.calls.filter(([text]) => text.includes('xxxx'));
      parse.mockRestore();
      expect(parsed).toEqual([]);
    } finally {
      await shop.close();
    }
  });
});
