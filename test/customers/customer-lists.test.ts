/** Lists of customers: pages, filters, and a walk while others insert. */
import type Stripe from 'stripe';
import { CustomersRepository } from '../../src/customers/customers.repository';
import { newId } from '../../src/wire';
import { startApp, type RunningApp } from '../support/app';

describe('lists of customers', () => {
  let app: RunningApp;
  let stripe: Stripe;

  beforeAll(async () => {
    app = await startApp();
    stripe = app.stripe();
  });
  afterAll(() => app.close());

  it('come newest first, in pages that meet in both directions', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 7; index += 1) ids.unshift((await stripe.customers.create()).id);
    const first = await stripe.customers.list({ limit: 3 });
    expect(first).toMatchObject({ object: 'list', url: '/v1/customers', has_more: true });
    expect(first.data.map(({ id }) => id)).toEqual(ids.slice(0, 3));
    const rest = await stripe.customers.list({ limit: 4, starting_after: ids[2] });
    expect(rest.has_more).toBe(false);
    expect(rest.data.map(({ id }) => id)).toEqual(ids.slice(3));
    const before = await stripe.customers.list({ limit: 2, ending_before: ids[4] });
    expect(before.has_more).toBe(true);
    expect(before.data.map(({ id }) => id)).toEqual(ids.slice(2, 4));
  });

  it('filter by exact email and by created', async () => {
    const { id, created } = await stripe.customers.create({ email: 'One@example.com' });
    const isListed = async (query: Stripe.CustomerListParams) =>
      (await stripe.customers.list({ limit: 100, ...query })).data.some((row) => row.id === id);
    expect(await isListed({ email: 'One@example.com' })).toBe(true);
    expect(await isListed({ email: 'one@example.com' })).toBe(false);
    expect(await isListed({ created })).toBe(true);
    expect(await isListed({ created: { gte: created, lte: created } })).toBe(true);
    expect(await isListed({ created: { gt: created } })).toBe(false);
    expect(await isListed({ created: { lt: created } })).toBe(false);
    expect(await isListed({ created: { gt: created - 1, lt: created + 1 } })).toBe(true);
  });

  it.each<[string, object, object]>([
    ['limit 0', { limit: 0 }, { param: 'limit', code: 'parameter_invalid_integer' }],
    ['limit 101', { limit: 101 }, { param: 'limit', code: 'parameter_invalid_integer' }],
    ['limit ten', { limit: 'ten' }, { param: 'limit', code: 'parameter_invalid_integer' }],
    ['an unknown cursor', { starting_after: 'cus_x' }, { param: 'starting_after' }],
    ['both cursors', { starting_after: 'cus_x', ending_before: 'cus_y' }, {}],
    ['an unknown bound', { created: { after: 1 } }, { param: 'created[after]' }],
    ['a far future', { created: { gt: 1e15 } }, { param: 'created[gt]' }],
    ['a filter that is none', { color: 'red' }, { code: 'parameter_unknown', param: 'color' }],
    ['an expand past data', { expand: ['default_source'] }, { param: 'expand' }],
  ])('refuse %s', async (_, query, expected) => {
    await expect(stripe.customers.list(query)).rejects.toMatchObject({
      statusCode: 400,
      ...expected,
    });
  });

  it('are walked over 10,000 objects without a gap or a repeat while others insert', async () => {
    const large = app.stripe({ apiKey: await app.createKey('large') });
    const rows = app.app.get(CustomersRepository, { strict: false });
    const tenant = { account: 'large', livemode: false };
    const before = Array.from({ length: 10_000 }, () => newId('cus'));
    const queue = before.values();
    const crew = Array.from({ length: 8 }, async () => {
      for (const id of queue) await rows.insert(tenant, { id, invoicePrefix: 'LARGE' });
    });
    await Promise.all(crew);

    const walk = new AbortController();
    let inserted = 0;
    const others = Array.from({ length: 4 }, async () => {
      while (!walk.signal.aborted) {
        await large.customers.create();
        inserted += 1;
      }
    });
    const seen = new Set<string>();
    let visits = 0;
    for await (const customer of large.customers.list({ limit: 100 })) {
      visits += 1;
      seen.add(customer.id);
    }
    walk.abort();
    await Promise.all(others);
    expect(inserted).toBeGreaterThan(10);
    expect(visits).toBe(seen.size);
    expect(before.filter((id) => !seen.has(id))).toEqual([]);
  }, 300_000);
});
