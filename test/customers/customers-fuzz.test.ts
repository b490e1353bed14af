/** Any request about customers gets a response in the envelope, below 500; accepted values read back. */
import fc from 'fast-check';
import { startApp, type RunningApp } from '../support/app';

interface Body {
  readonly id?: string;
  readonly object?: string;
  readonly metadata?: object;
  readonly error?: { readonly type: string; readonly message: string };
}

describe('any request about customers', () => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await startApp();
  });
  afterAll(() => app.close());

  async function send(method: 'DELETE' | 'GET' | 'POST', path: string, json?: unknown) {
    const headers = { authorization: `Bearer ${app.apiKey}` };
    const res = await app.app.inject({
      method,
      url: path,
      headers: json === undefined ? headers : { ...headers, 'content-type': 'application/json' },
      payload: json === undefined ? undefined : JSON.stringify(json),
    });
    const body = res.json<Body>();
    expect(res.statusCode).toBeLessThan(500);
    if (res.statusCode >= 400) expect(body.error?.type).toBe('invalid_request_error');
    return { status: res.statusCode, body };
  }

  const text = fc.string({ unit: 'binary', maxLength: 60 });
  const any = fc.jsonValue({ stringUnit: 'binary' });
  /** Nearly always of the right kind, so that a good part of the requests is accepted. */
  const mostly = (right: fc.Arbitrary<unknown>) =>
    fc.oneof({ arbitrary: right, weight: 40 }, { arbitrary: any, weight: 1 });
  const address = fc.record({ line1: text, city: text }, { requiredKeys: [] });
  const params = fc.record(
    {
      address: mostly(fc.oneof(address, fc.constant(null))),
      description: mostly(text),
      email: mostly(fc.emailAddress()),
      expand: mostly(fc.constant(['default_source'])),
      invoice_prefix: mostly(fc.constant('SHOP')),
      metadata: mostly(fc.dictionary(text, fc.oneof(text, fc.integer()), { maxKeys: 3 })),
      name: mostly(text),
      phone: mostly(fc.string({ unit: 'binary', maxLength: 10 })),
      preferred_locales: mostly(fc.constant(['de', 'en'])),
      shipping: mostly(fc.record({ name: fc.constant('x'), address })),
      tax_exempt: mostly(fc.constantFrom('none', 'exempt', 'reverse')),
    },
    { requiredKeys: [] },
  );

  it('with any parameters gets a status below 500, and accepted values read back', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(params, params, async (creation, change) => {
        const created = await send('POST', '/v1/customers', creation);
        if (created.status !== 200) return;
        accepted += 1;
        const path = `/v1/customers/${created.body.id}`;
        expect((await send('GET', path)).body).toEqual(created.body);
        const changed = await send('POST', path, change);
        if (changed.status === 200) expect((await send('GET', path)).body).toEqual(changed.body);
      }),
      { numRuns: 400 },
    );
    expect(accepted).toBeGreaterThan(50);
  }, 300_000);

  it('keeps any metadata that Stripe would keep, exactly', async () => {
    const key = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      .filter((name) => name.length <= 40 && !/[[\]\0]/.test(name) && name !== '__proto__');
    const value = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 250 })
      .filter((entry) => !entry.includes('\0'));
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(key, value, { maxKeys: 10, noNullPrototype: true }),
        async (all) => {
          const { status, body } = await send('POST', '/v1/customers', { metadata: all });
          expect([status, body.metadata]).toEqual([200, all]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('with any id or query gets a status below 500', async () => {
    const segment = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      .map(encodeURIComponent);
    const raw = fc.string({
      unit: fc.constantFrom('%', '0', 'f', '[', ']', '=', '&', 'a', '?', '/'),
    });
    const query = fc.oneof(
      raw,
      fc
        .dictionary(
          fc.constantFrom('limit', 'starting_after', 'ending_before', 'email', 'created', 'expand'),
          segment,
        )
        .map((entries) =>
          Object.entries(entries)
            .map((pair) => pair.join('='))
            .join('&'),
        ),
    );
    await fc.assert(
      fc.asyncProperty(segment, query, async (id, search) => {
        await send('GET', `/v1/customers/${id}`);
        await send('DELETE', `/v1/customers/${id}`);
        await send('GET', `/v1/customers?${search}`);
      }),
      { numRuns: 300 },
    );
  });
});
