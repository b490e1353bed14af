/** Problem details lead to the page that explains them, where the application has one (R24). */
import { type Adapter, openShop, type Shop } from '../shop.fixture';

const PAGE = 'https://shop.example/help/errors';

describe.each<Adapter>(['fastify', 'express'])('an error on %s', (adapter) => {
  let shop: Shop;
  afterEach(() => shop.close());

  it('R24 links to its part of the page, as type and as Link', async () => {
    shop = await openShop(adapter, { options: { errorPageUrl: PAGE } });
    const missing = await shop.post('/orders/required/a', {});
    expect(missing.status).toBe(400);
    expect(missing.json).toEqual({
      type: `${PAGE}#idempotency_key_missing`,
      title: 'Bad Request',
      status: 400,
      detail: expect.stringContaining('needs an Idempotency-Key header') as string,
      code: 'idempotency_key_missing',
    });
    expect(missing.headers.get('link')).toBe(
      `<${PAGE}#idempotency_key_missing>; rel="describedby"`,
    );
    expect(missing.headers.get('content-type')).toMatch(/^application\/problem\+json/);

    await shop.post('/orders', { amount: 1 }, 'k');
    const reused = await shop.post('/orders', { amount: 2 }, 'k');
    expect(reused.status).toBe(422);
    expect(reused.json.type).toBe(`${PAGE}#idempotency_key_reused`);
    expect(reused.headers.get('link')).toBe(`<${PAGE}#idempotency_key_reused>; rel="describedby"`);
  });

  it('R24 links to nothing where no page is named', async () => {
    shop = await openShop(adapter);
    const missing = await shop.post('/orders/required/a', {});
    expect(missing.json.type).toBe('about:blank');
    expect(missing.headers.get('link')).toBeNull();
  });

  it('R24 is as formatError makes it, on every response of the module', async () => {
    shop = await openShop(adapter, {
      options: {
        formatError: ({ status, code }) => ({
          status,
          headers: { 'content-type': 'text/plain', link: `</help>; rel="help"` },
          body: code,
        }),
      },
    });
    const missing = await shop.post('/orders/required/a', {});
    expect([missing.text, missing.headers.get('link')]).toEqual([
      'idempotency_key_missing',
      '</help>; rel="help"',
    ]);
  });
});
