/** Bodies of requests, forms and JSON: what they become, and which are refused. */
import { form, FORM, json, JSON_TYPE, send, startTheThings } from './things-requests.fixture';

startTheThings();

describe('a form', () => {
  it('becomes numbers, booleans, lists and hashes by its schema', async () => {
    const { status, body } = await form(
      'amount=1099&currency=USD&capture=false&card[exp_month]=4&types[]=card&types[]=link' +
        '&metadata[0]=zero&metadata[order%20no]=67+35%2B&description=',
    );
    expect(status).toBe(201);
    expect(body.received).toEqual({
      amount: 1099,
      currency: 'usd',
      capture: false,
      card: { exp_month: 4 },
      types: ['card', 'link'],
      metadata: { '0': 'zero', 'order no': '67 35+' },
      description: null,
    });
  });

  it('takes a list by index in any order, and metadata that is unset', async () => {
    const { body } = await form('amount=1&currency=usd&types[1]=link&types[0]=card&metadata=');
    expect(body.received).toMatchObject({ types: ['card', 'link'], metadata: null });
  });

  it.each([
    ['amount twice', 'amount=1&amount=2&currency=usd', 'more than once'],
    ['a value and a hash', 'metadata=&metadata[a]=1', 'more than once'],
    ['a hash and a value', 'metadata[a]=1&metadata=', 'more than once'],
    ['a list in two styles', 'types[]=card&types[0]=link', 'more than once'],
    ['an unclosed bracket', 'card[exp_month=1', 'Invalid parameter name'],
    ['a name of brackets alone', '[a]=1', 'Invalid parameter name'],
    ['a list of hashes without numbers', 'a[][b]=1', 'Invalid parameter name'],
    ['nine levels', `a${'[b]'.repeat(8)}=1`, 'nested too deeply'],
    ['a broken escape', 'description=%zz', 'percent-encoded'],
    ['an escape that is no UTF-8', 'description=%ff', 'percent-encoded'],
    ['1001 parameters', 'a[]=1&'.repeat(1001), 'at most 1000'],
    ['__proto__', '__proto__[admin]=1', 'unknown parameter'],
    ['__proto__ further down', 'metadata[__proto__]=1', 'unknown parameter'],
    ['constructor', 'constructor[prototype][a]=1', 'unknown parameter'],
    ['toString', 'toString=1', 'unknown parameter'],
    ['NUL', 'description=a%00b', 'NUL'],
    ['NUL in a name', 'metadata[a%00]=b', 'NUL'],
  ])('is refused with %s, in words', async (_, payload, words) => {
    const { status, body } = await form(payload);
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ type: 'invalid_request_error' });
    expect(body.error?.message).toContain(words);
  });

  it('never reaches the prototype of anything', async () => {
    await form('__proto__[admin]=1');
    await form('metadata[__proto__][admin]=1');
    await json('{"__proto__": {"admin": 1}, "metadata": {"__proto__": {"admin": 1}}}');
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });
});

describe('a JSON body', () => {
  it('is taken with JSON types or with the strings of a form', async () => {
    const typed = await json(
      '{"amount":1099,"currency":"usd","capture":true,"card":{"exp_month":4},"types":["card"],' +
        '"metadata":{"n":1,"b":false},"description":null}',
    );
    expect(typed.status).toBe(201);
    expect(typed.body.received).toEqual({
      amount: 1099,
      currency: 'usd',
      capture: true,
      card: { exp_month: 4 },
      types: ['card'],
      metadata: { n: '1', b: 'false' },
      description: null,
    });
    const strings = await json('{"amount":"1099","currency":"usd","capture":"true"}');
    expect(strings.body.received).toMatchObject({ amount: 1099, capture: true });
  });

  it('may begin with a byte order mark', async () => {
    const { status } = await json('\uFEFF{"amount":1,"currency":"usd"}');
    expect(status).toBe(201);
  });

  it.each([
    ['that is malformed', '{"amount":', 'not valid JSON'],
    ['that is a list', '[1]', 'must be a JSON object'],
    ['that is a string', '"x"', 'must be a JSON object'],
    ['that is null', 'null', 'must be a JSON object'],
    ['with NUL', String.raw`{"description":"a\u0000b"}`, 'NUL'],
    ['with half a surrogate pair', String.raw`{"description":"\ud83d"}`, 'surrogate'],
    ['with half a surrogate pair in a name', String.raw`{"metadata":{"\udc00":"x"}}`, 'surrogate'],
    ['nested deeply', `${'{"a":'.repeat(3000)}1${'}'.repeat(3000)}`, 'nested too deeply'],
    ['nested in nine levels', `${'{"a":'.repeat(9)}1${'}'.repeat(9)}`, 'nested too deeply'],
    ['with a list in eight hashes', `${'{"a":'.repeat(8)}[]${'}'.repeat(8)}`, 'nested too deeply'],
    ['of 1001 values', `{"types":[${'1,'.repeat(1000)}1]}`, 'has 1001 parameters; at most 1000'],
    ['of 1001 names', `{${'"a":1,'.repeat(1000)}"a":1}`, 'has 1001 parameters; at most 1000'],
    ['of 1001 empty hashes', `{"types":[${'{},'.repeat(1000)}{}]}`, 'at most 1000'],
    ['with a number too large', '{"amount":12345678901234567890}', 'too large'],
    ['with a fraction of a cent', '{"amount":10.5,"currency":"usd"}', 'Invalid integer'],
    ['with __proto__', '{"metadata":{"__proto__":"x"}}', 'unknown parameter'],
  ])('%s is refused with 400, in words', async (_, payload, words) => {
    const { status, body } = await json(payload);
    expect(status).toBe(400);
    expect(body.error?.message).toContain(words);
  });

  it('may have as many values and levels as a form', async () => {
    const many = await json(
      `{"amount":1,"currency":"usd","types":[${'"card",'.repeat(997)}"card"]}`,
    );
    expect(many.body.error?.message).toContain('types takes at most 100 entries');
    const deep = await json(`${'{"a":'.repeat(8)}1${'}'.repeat(8)}`);
    expect(deep.body.error?.message).toBe('Received unknown parameter: a');
  });

  it('may have commas and brackets in its texts', async () => {
    const description = String.raw`,[{\"`.repeat(400);
    const { status } = await json(`{"amount":1,"currency":"usd","description":"${description}"}`);
    expect(status).toBe(201);
  });

  it('that is malformed is not quoted in the answer', async () => {
    const { body } = await json('{"number": 4242424242424242 oops');
    expect(JSON.stringify(body)).not.toContain('4242');
  });
});

describe('a body', () => {
  it('that is empty is valid, whatever its type', async () => {
    for (const type of [FORM, JSON_TYPE, 'text/plain']) {
      const { status, body } = await form('', type);
      expect([status, body.error?.code]).toEqual([400, 'parameter_missing']);
    }
    const { body } = await send('POST', '/v1/things');
    expect(body.error).toMatchObject({ code: 'parameter_missing', param: 'amount' });
  });

  it.each([
    ['text/plain', 'amount=1', 415],
    ['multipart/form-data; boundary=x', '--x--', 415],
    ['application/xml', '<a/>', 415],
    ['nonsense', 'a', 415],
    ['application/json; charset=utf-16', '{}', 415],
    [`${FORM}; charset=iso-8859-1`, 'a=1', 415],
  ])('of type %s is refused with words', async (type, payload, expected) => {
    const { status, body } = await form(payload, type);
    expect(status).toBe(expected);
    expect(body.error?.message).toMatch(/Send (application|the body as UTF-8)/);
  });

  it.each(['gzip', 'br', 'gzip, identity'])('in %s is refused, named', async (encoding) => {
    const headers = { 'content-type': FORM, 'content-encoding': encoding };
    const { status, body } = await send('POST', '/v1/things', 'amount=1&currency=usd', headers);
    expect(status).toBe(415);
    expect(body.error?.message).toContain(`Content-Encoding: ${encoding}`);
  });

  it('may say that it is not encoded', async () => {
    const headers = { 'content-type': FORM, 'content-encoding': 'identity' };
    const sent = await send('POST', '/v1/things', 'amount=1&currency=usd', headers);
    expect(sent.status).toBe(201);
  });

  it('without a type is refused with words', async () => {
    const { status, body } = await send('POST', '/v1/things', Buffer.from('amount=1'));
    expect(status).toBe(415);
    expect(body.error?.message).toContain('without a Content-Type');
  });

  it('may name its charset', async () => {
    expect(
      (await json('{"amount":1,"currency":"usd"}', 'Application/JSON; Charset="UTF-8"')).status,
    ).toBe(201);
  });

  it('that is no UTF-8 is refused', async () => {
    const { status, body } = await form(Buffer.from([0x61, 0x3d, 0xff, 0xfe]));
    expect(status).toBe(400);
    expect(body.error?.message).toContain('UTF-8');
  });

  it('past the limit is refused with 413, in words', async () => {
    const { status, body } = await form(`description=${'x'.repeat(20_001)}`);
    expect(status).toBe(413);
    expect(body.error).toMatchObject({ type: 'invalid_request_error' });
    expect(body.error?.message).toContain('too large');
  });
});

describe('a wrong parameter', () => {
  const base = { amount: 1, currency: 'usd' };
  it.each<[string, object, string | undefined, string]>([
    ['is missing', { currency: 'usd' }, 'parameter_missing', 'amount'],
    ['of a hash is missing', { ...base, card: {} }, 'parameter_missing', 'card[exp_month]'],
    ['is unknown', { ...base, amonut: 1 }, 'parameter_unknown', 'amonut'],
    ['of a hash is unknown', { ...base, card: { cvv: 1 } }, 'parameter_unknown', 'card[cvv]'],
    ['is no integer', { ...base, amount: '10.5' }, 'parameter_invalid_integer', 'amount'],
    ['is a number in words', { ...base, amount: 'ten' }, 'parameter_invalid_integer', 'amount'],
    ['is exponential', { ...base, amount: '1e3' }, 'parameter_invalid_integer', 'amount'],
    ['is hexadecimal', { ...base, amount: '0x10' }, 'parameter_invalid_integer', 'amount'],
    ['is a list', { ...base, amount: [1] }, 'parameter_invalid_integer', 'amount'],
    ['is too small', { ...base, amount: 0 }, 'amount_too_small', 'amount'],
    ['is negative', { ...base, amount: -5 }, 'amount_too_small', 'amount'],
    ['is too large', { ...base, amount: 100_000_000 }, 'amount_too_large', 'amount'],
    ['is empty', { ...base, amount: '' }, 'parameter_invalid_empty', 'amount'],
    ['is an empty email', { ...base, email: '' }, 'parameter_invalid_empty', 'email'],
    ['is no currency', { ...base, currency: 'xxx' }, undefined, 'currency'],
    ['is no boolean', { ...base, capture: 'yes' }, undefined, 'capture'],
    ['is none of a few', { ...base, method: 'auto' }, undefined, 'method'],
    ['is no string', { ...base, description: { a: 1 } }, undefined, 'description'],
    ['is no email', { ...base, email: 'x' }, 'email_invalid', 'email'],
    ['is no hash', { ...base, card: 'tok_visa' }, undefined, 'card'],
    ['is a bad entry of a list', { ...base, types: ['card', 'cash'] }, undefined, 'types[1]'],
    [
      'is a month 13',
      { ...base, card: { exp_month: 13 } },
      'parameter_invalid_integer',
      'card[exp_month]',
    ],
    ['is nested metadata', { ...base, metadata: { a: { b: 1 } } }, undefined, 'metadata[a]'],
  ])('%s: 400 with its name and a code', async (_, params, code, param) => {
    const { status, body } = await json(JSON.stringify(params));
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ type: 'invalid_request_error', param });
    expect(body.error?.code).toBe(code);
    expect(body.error?.message).not.toMatch(/undefined|\[object/);
  });

  it('of any length is repeated in one line of a hundred characters', async () => {
    const { body } = await form(`amount=${'a+%09'.repeat(3_000)}&currency=usd`);
    const shown = body.error?.message.replace('Invalid integer: ', '');
    expect(shown).toMatch(/^(a )+…$/);
    expect(shown).toHaveLength(101);
  });

  it('that is a slip of a known one is told so', async () => {
    const { body } = await form('amuont=1&currency=usd');
    expect(body.error?.message).toBe('Received unknown parameter: amuont');
    const near = await form('amounts=1&currency=usd');
    expect(near.body.error?.message).toContain('Did you mean amount?');
  });
});
