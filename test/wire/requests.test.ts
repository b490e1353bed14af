/** Requests beside their bodies: queries, URLs and card numbers in them, and what every response carries. */
import { API_VERSION, InvalidRequestError } from '../../src/wire';
import { requireNoCardNumberInPath } from '../../src/wire/request/harmless-values';
import { errorLink } from './things-app.fixture';
import { form, FORM, JSON_TYPE, send, startTheThings } from './things-requests.fixture';

startTheThings();

describe('a query', () => {
  it('follows the same rules as a body', async () => {
    const { body } = await send('GET', '/v1/things?limit=3&created[gte]=10&created[lt]=20');
    expect(body.received).toEqual({
      limit: 3,
      created: { from: '1970-01-01T00:00:10.000Z', before: '1970-01-01T00:00:20.000Z' },
    });
    for (const query of ['limit=1&limit=2', 'a=%00', 'a[b=1', 'colour=red', '__proto__[a]=1']) {
      expect((await send('GET', `/v1/things?${query}`)).status).toBe(400);
    }
  });
});

describe('a query of what is no GET', () => {
  it.each([
    ['POST', '/v1/things?capture=false&amount=1', 'capture'],
    ['POST', '/v1/things?expand[]=card', 'expand'],
    ['DELETE', '/v1/things/thing_1?at_period_end=true', 'at_period_end'],
  ] as const)('is refused, never dropped: %s %s', async (method, url, param) => {
    const { status, body } = await send(method, url, 'amount=1&currency=usd', {
      'content-type': FORM,
    });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 'parameter_unknown', param });
    expect(body.error?.message).toContain(`Parameters of a ${method} stand in its body`);
  });

  it('may be empty, and an unknown URL is still a 404', async () => {
    const empty = await send('POST', '/v1/things?', 'amount=1&currency=usd', {
      'content-type': FORM,
    });
    expect(empty.status).toBe(201);
    expect((await send('POST', '/v1/nothing?a=1')).status).toBe(404);
  });
});

describe('a URL', () => {
  it('of a search is no id', async () => {
    const { status, body } = await send('GET', '/v1/things/search?query=a');
    expect(status).toBe(404);
    expect(body.error?.message).toBe(
      'Unrecognized request URL (GET: /v1/things/search). Search is not offered: list with GET ' +
        '/v1/things and its filters instead.',
    );
  });

  it('that is unknown is refused with 404, in words', async () => {
    const { status, body } = await send('GET', '/v1/foo?secret=1');
    expect(status).toBe(404);
    expect(body.error?.message).toMatch(/^Unrecognized request URL \(GET: \/v1\/foo\)\. /);
  });

  it('with another method says which it takes', async () => {
    const { status, body } = await send('PUT', '/v1/things');
    expect(status).toBe(404);
    expect(body.error?.message).toContain('This URL takes GET, POST.');
  });

  it.each(['/v1/things/a%00b', '/v1/things/%ff', '/v1/things/%', `/v1/things/${'x'.repeat(2000)}`])(
    '%s is a client error in the envelope',
    async (url) => {
      const { status, body, headers } = await send('GET', url);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
      expect(body.error?.type).toBe('invalid_request_error');
      expect(headers['request-id']).toMatch(/^req_/);
    },
  );
});

describe('a card number', () => {
  it.each([
    ['in a field', JSON_TYPE, '{"description":"4242424242424242"}'],
    ['as a JSON number', JSON_TYPE, '{"amount":4242424242424242}'],
    ['escaped', JSON_TYPE, String.raw`{"description":"\u0034242424242424242"}`],
    ['in a hash', FORM, 'card[number]=4242424242424242'],
    ['in a name', FORM, 'metadata[4242-4242-4242-4242]=x'],
    ['in a name that does not parse', FORM, '4242424242424242[=x'],
    ['in a name given twice', FORM, 'metadata[4242424242424242]=x&metadata[4242424242424242]=x'],
    ['in a sentence', FORM, 'description=my+card+is+5555+5555+5555+4444,+thanks'],
  ])('%s is refused, and the response does not repeat it', async (_, type, payload) => {
    const { status, body } = await form(payload, type);
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 'card_number_refused' });
    expect(JSON.stringify(body).replaceAll(/\D/g, '')).not.toMatch(/42424242|55555555/);
  });

  it('in a path is refused, and neither the number nor its place is repeated', () => {
    const refuse = (params: Record<string, string>) => () => requireNoCardNumberInPath(params);
    expect(refuse({ id: 'cus_4242424242424242', customer: 'cus_1' })).not.toThrow();
    expect(refuse({ id: 'cus_1', customer: '4242 4242 4242 4242' })).toThrow(InvalidRequestError);
    expect(refuse({ id: '4242424242424242' })).toThrow(
      expect.objectContaining({
        status: 400,
        details: { code: 'card_number_refused' },
        message: expect.not.stringContaining('4242') as string,
      }),
    );
  });

  it('in a query is refused too', async () => {
    const { body } = await send('GET', '/v1/things?starting_after=4242424242424242');
    expect(body.error).toMatchObject({ code: 'card_number_refused' });
  });
});

describe('a response', () => {
  it('has a Request-Id of its own and a Stripe-Version, also when it is an error', async () => {
    const ids = new Set<unknown>();
    for (const url of ['/v1/things', '/v1/nothing', '/v1/broken', '/v1/things?a=%00']) {
      const { headers } = await send('GET', url);
      expect(headers['request-id']).toMatch(/^req_[0-9A-Za-z]{24}$/);
      expect(headers['stripe-version']).toBe(API_VERSION);
      ids.add(headers['request-id']);
    }
    expect(ids.size).toBe(4);
  });

  it('echoes the Stripe-Version that was asked for', async () => {
    const asked = { 'stripe-version': '2020-08-27' };
    const { headers } = await send('GET', '/v1/things', undefined, asked);
    expect(headers['stripe-version']).toBe('2020-08-27');
  });

  it('to an unforeseen error is 500 and tells nothing of it', async () => {
    const { status, body, headers } = await send('GET', '/v1/broken');
    expect(status).toBe(500);
    expect(body.error).toMatchObject({ type: 'api_error' });
    expect(JSON.stringify(body)).not.toMatch(/hunter2|password|stack/);
    expect(body.error?.message).toContain(String(headers['request-id']));
  });

  it('to a decline carries the charge and the payment intent', async () => {
    const { status, body } = await send('GET', '/v1/declined');
    expect(status).toBe(402);
    expect(body.error).toEqual({
      type: 'card_error',
      code: 'card_declined',
      decline_code: 'generic_decline',
      doc_url: errorLink('card_declined'),
      message: 'Your card was declined.',
      charge: 'ch_1',
      payment_intent: { id: 'pi_1', object: 'payment_intent' },
    });
  });
});
