/** The fingerprint decides whether two requests are the same, and names what differs. */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import {
  differences,
  digestsOf,
  FINGERPRINT_VERSION,
  fingerprintOf,
} from '../../../src/idempotency/request/fingerprint';
import {
  type HttpRequest,
  IdempotencyBodyUnreadableError,
  IdempotencyKeyInvalidError,
} from '../../../src/idempotency';
import { openShop } from '../shop.fixture';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const request = (body: unknown, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'POST',
  url: '/v1/refunds',
  headers: { 'content-type': 'application/json' },
  body,
  ...more,
});
const hash = (body: unknown, more?: Partial<HttpRequest>) =>
  fingerprintOf(request(body, more)).hash;

/** Parses a text as the server does. */
const parsed = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** JSON as clients send it, with names and strings that try to break a canonical form. */
const json = fc
  .jsonValue({ maxDepth: 5, stringUnit: 'binary' })
  .map((value) => parsed(value) as Json);
const nasty = fc.letrec<{ value: Json; name: string }>((tie) => ({
  name: fc.oneof(
    fc.constantFrom('a', 'b', '', '__proto__', 'constructor', '"', '":', ',', '1', 'length'),
    fc.string({ unit: 'grapheme', maxLength: 3 }),
  ),
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<Json[]>(null, true, false, 0, 1, -1, 1e21, '', '0', '1', 'null', 'true'),
    fc.constantFrom<Json[]>('bytes:', '[]', '{}', '"', '\\', '\ud800', '\u0000', ',', '":'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc
      .array(fc.tuple(tie('name'), tie('value')), { maxLength: 3 })
      .map((entries) => Object.fromEntries(entries) as Json),
  ),
})).value;

/** Equality as JSON means it: the order of members does not count. */
function sameJson(a: Json, b: Json): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => sameJson(item, b[index] as Json))
    );
  }
  const [names, others] = [Object.keys(a), Object.keys(b)];
  return (
    names.length === others.length &&
    names.every((name) => Object.hasOwn(b, name) && sameJson(a[name] as Json, b[name] as Json))
  );
}

/** The same JSON with the members of every object in another order. */
function reordered(value: Json, seed: number): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => reordered(item, seed));
  const entries = Object.entries(value).map(([name, member]) => [name, reordered(member, seed)]);
  const turn = entries.length > 0 ? seed % entries.length : 0;
  const turned = [...entries.slice(turn), ...entries.slice(0, turn)];
  return Object.fromEntries(seed % 2 === 0 ? turned : turned.toReversed()) as Json;
}

const RUNS = { numRuns: 1_000 };

describe('R7 the fingerprints of two requests', () => {
  it('are the same when the bodies are, whatever the order of their members', () => {
    fc.assert(
      fc.property(fc.oneof(json, nasty), fc.nat(), (body, seed) => {
        expect(hash(reordered(body, seed))).toBe(hash(body));
      }),
      RUNS,
    );
  });

  it('are the same only when the bodies are: the canonical form never merges two different JSON values', () => {
    fc.assert(
      fc.property(nasty, nasty, (a, b) => {
        expect(hash(a) === hash(b)).toBe(sameJson(a, b));
      }),
      { numRuns: 5_000 },
    );
  });

  it('differ when one leaf of the body does', () => {
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
    fc.assert(
      fc.property(json, leaf, leaf, (around, a, b) => {
        fc.pre(a !== b && !(a === 0 && b === 0));
        expect(hash({ around, leaf: a })).not.toBe(hash({ around, leaf: b }));
        expect(hash([around, a])).not.toBe(hash([around, b]));
      }),
      RUNS,
    );
  });

  it('differ when the items of an array are in another order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { minLength: 2, maxLength: 6 }), (items) => {
        expect(hash({ items: items.toReversed() })).not.toBe(hash({ items }));
      }),
      RUNS,
    );
  });

  it.each([
    ['a number and its text', { amount: 100 }, { amount: '100' }],
    ['true and its text', { capture: true }, { capture: 'true' }],
    ['null and nothing', { note: null }, {}],
    ['null and an empty text', { note: null }, { note: '' }],
    ['an empty object and an empty array', {}, []],
    ['an item and a list of it', { item: 'a' }, { item: ['a'] }],
    ['an object and the list of its values', { 0: 'a' }, ['a']],
    ['items that end elsewhere', [1, 11], [11, 1]],
    ['members that end elsewhere', { a: 1, b: 1 }, { a: '1,"b":1' }],
    ['a body and no body', {}, undefined],
    ['a body that is null and no body', null, undefined],
    ['an empty text and no body', '', undefined],
    ['bytes and their text in base64', Buffer.from('abc'), `bytes:${btoa('abc')}`],
    ['composed and decomposed letters', { name: '\u00e9' }, { name: 'e\u0301' }],
    ['two halves of different letters', { name: '\ud800' }, { name: '\ud801' }],
    ['a large number and its neighbour', { n: 2 ** 53 }, { n: 2 ** 53 - 1 }],
    ['a nested object and its text', { a: { b: 1 } }, { a: '{"b":1}' }],
  ])('tell %s apart', (_what, a, b) => {
    expect(hash(a)).not.toBe(hash(b));
  });

  it('take `__proto__` as a name like any other', () => {
    const [one, two, none] = ['{"__proto__":{"a":1}}', '{"__proto__":{"a":2}}', '{}'].map((text) =>
      hash(JSON.parse(text)),
    );
    expect(new Set([one, two, none]).size).toBe(3);
    const sent = digestsOf(request(JSON.parse('{"__proto__":1}')));
    expect(differences(digestsOf(request({})), sent)).toEqual(['__proto__']);
    expect(differences(sent, sent)).toEqual(['the form of the body']);
  });

  it('are the same when only the order of differently named query parameters differs', () => {
    const names = fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 5 }), {
      minLength: 2,
      maxLength: 5,
    });
    fc.assert(
      fc.property(names, fc.array(fc.string(), { minLength: 5, maxLength: 5 }), (all, values) => {
        const pairs = all.map((name, i): [string, string] => [name, values[i] as string]);
        const url = (of: [string, string][]) => `/v1/x?${new URLSearchParams(of).toString()}`;
        expect(hash({}, { url: url(pairs.toReversed()) })).toBe(hash({}, { url: url(pairs) }));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['the value of a query parameter', '/x?a=1', '/x?a=2'],
    ['the order of one name’s values', '/x?a=1&a=2', '/x?a=2&a=1'],
    ['the end of a query parameter', '/x?a=1&b=2', '/x?a=1%26b=2'],
    ['a query instead of none', '/x?a=', '/x'],
    ['a byte that is not UTF-8', '/x?a=%FE', '/x?a=%FF'],
    ['the path', '/x/1', '/x/2'],
    ['the case of the path', '/x', '/X'],
    ['the escapes of the path', '/a%2Fb', '/a/b'],
  ])('differ with %s', (_what, a, b) => {
    expect(hash({}, { url: a })).not.toBe(hash({}, { url: b }));
  });

  it('differ with the method and with the form of the body, whatever the other headers', () => {
    const asJson = { 'content-type': 'application/json' };
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    expect(hash({ a: '1' }, { method: 'PUT' })).not.toBe(hash({ a: '1' }));
    expect(hash({ a: '1' }, { headers: form })).not.toBe(hash({ a: '1' }, { headers: asJson }));
    for (const headers of [
      { 'content-type': 'Application/JSON ; charset=utf-8' },
      { ...asJson, 'user-agent': 'x', authorization: 'y', 'content-length': '9' },
    ]) {
      expect(hash({ a: '1' }, { headers })).toBe(hash({ a: '1' }));
    }
  });

  it('differ with the headers that the endpoint names, however it writes them', () => {
    const of = (value: string | undefined, names: string[]) =>
      fingerprintOf(request({}, { headers: { 'x-version': value } }), { headers: names }).hash;
    expect(of('1', ['X-Version'])).toBe(of('1', ['x-version']));
    expect(of('1', ['x-version'])).not.toBe(of('2', ['x-version']));
    expect(of('1', [])).toBe(of('2', []));
  });

  it('take Express’s original address, which a mounted router does not shorten', () => {
    const mounted = request({}, { url: '/refunds', originalUrl: '/v1/refunds' });
    expect(fingerprintOf(mounted).hash).toEqual(fingerprintOf(request({})).hash);
  });
});

describe('R7a the fingerprints of bodies that JSON does not know', () => {
  class Price {
    constructor(readonly cents: number) {}
  }
  class Decimal {
    readonly #digits: string;
    constructor(digits: string) {
      this.#digits = digits;
    }
    toJSON() {
      return this.#digits;
    }
  }
  const twoOfEach: readonly [string, () => unknown, () => unknown][] = [
    ['numbers without bounds', () => 1n, () => 2n],
    ['a number and one without bounds', () => 1, () => 1n],
    ['a text and a number without bounds', () => 'bigint:1', () => 1n],
    ['numbers that JSON has none for', () => Number.NaN, () => Infinity],
    ['dates', () => new Date(0), () => new Date(1)],
    ['a date and its text', () => new Date(0), () => new Date(0).toJSON()],
    ['maps', () => new Map([['a', 1]]), () => new Map([['a', 2]])],
    ['a map and an object', () => new Map([['a', 1]]), () => ({ a: 1 })],
    ['sets', () => new Set([1]), () => new Set([1, 2])],
    ['a set and a list', () => new Set([1]), () => [1]],
    ['queries', () => new URLSearchParams('a=1'), () => new URLSearchParams('a=2')],
    [
      'values of a query',
      () => new URLSearchParams('a=1&a=2'),
      () => new URLSearchParams('a=2&a=1'),
    ],
    ['buffers', () => Uint8Array.of(1).buffer, () => Uint8Array.of(2).buffer],
    ['a buffer and its bytes', () => Uint8Array.of(1).buffer, () => Uint8Array.of(1)],
    ['arrays of another type', () => Int8Array.of(1), () => Uint8Array.of(1)],
    ['views', () => new DataView(new ArrayBuffer(1)), () => new DataView(new ArrayBuffer(2))],
    ['objects of a class', () => new Price(1), () => new Price(2)],
    ['objects that say what they are', () => new Decimal('1'), () => new Decimal('2')],
  ];

  it.each(twoOfEach)('tell two %s apart, and know each again', (_what, a, b) => {
    expect(hash({ a: a() })).not.toBe(hash({ a: b() }));
    expect(hash({ a: a() })).toBe(hash({ a: a() }));
    expect(hash([b()])).toBe(hash([b()]));
  });

  it('are the same whatever the order of a map, a set and the names of a query', () => {
    const reverse = <T>(items: T[]) => items.toReversed();
    const pairs: [string, number][] = [
      ['a', 1],
      ['b', 2],
    ];
    expect(hash(new Map(pairs))).toBe(hash(new Map(reverse(pairs))));
    expect(hash(new Set(['a', 'b']))).toBe(hash(new Set(['b', 'a'])));
    expect(hash(new URLSearchParams('a=1&b=2'))).toBe(hash(new URLSearchParams('b=2&a=1')));
    expect(hash(Buffer.from('abc'))).toBe(hash(new Uint8Array(Buffer.from('abc'))));
  });

  it('are those of the text for an object of a library that wraps one', () => {
    expect(hash({ a: Object('x') as unknown })).toBe(hash({ a: 'x' }));
    expect(hash({ a: Object(1n) as unknown })).toBe(hash({ a: 1n }));
  });

  it.each<[string, unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('a')],
    ['a stream', Readable.from(['a'])],
    ['an object of type Promise', Promise.resolve(1)],
    ['an object of type RegExp', /a/],
    ['an object of type Blob', new Blob(['a'])],
    ['an object of type WeakMap', new WeakMap()],
  ])('are none for %s', (what, value) => {
    expect(() => hash({ deep: [value] })).toThrow(IdempotencyBodyUnreadableError);
    expect(() => hash({ deep: [value] })).toThrow(`holds ${what}, which has no value`);
  });

  it('are none for what contains itself, and are there for what is met twice', () => {
    const around: { in: unknown[]; twice?: unknown } = { in: [] };
    around.twice = [around.in, around.in];
    expect(hash(around)).toBe(hash({ in: [], twice: [[], []] }));
    around.in.push({ around });
    expect(() => hash(around)).toThrow('an object that contains itself');
  });

  it('were none in form 1, or what it took them for, so that no stored row is mistaken for them', () => {
    const form1 = (body: unknown) => fingerprintOf(request(body), {}, 1)?.hash;
    expect(form1({ a: 1n })).not.toBe(form1({ a: 1 }));
    expect(form1(new Date(0))).toBe(form1({}));
    expect(form1(Float32Array.of(0))).toBe(form1(Buffer.alloc(4)));
  });
});

describe('R7 a fingerprint', () => {
  it('refuses a body that is nested deeper than 100 levels, and none that is not', () => {
    const nested = (levels: number, inside: Json): Json =>
      levels === 0 ? inside : nested(levels - 1, levels % 2 ? [inside] : { a: inside });
    for (const body of [nested(100, 1), { a: nested(99, 1) }]) {
      expect(() => fingerprintOf(request(body))).not.toThrow();
    }
    expect(() => fingerprintOf(request(nested(101, 1)))).toThrow(IdempotencyKeyInvalidError);
    expect(() =>
      fingerprintOf(request(JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)))),
    ).toThrow('deeper than 100 levels');
  });

  it('has a version, and knows none but its own', () => {
    expect(fingerprintOf(request({})).version).toBe(FINGERPRINT_VERSION);
    expect(fingerprintOf(request({}), {}, FINGERPRINT_VERSION + 1)).toBeUndefined();
  });

  it('stays what it was: rows that are stored are compared with it', () => {
    const body = { b: [1, '1', null, { z: 'é', a: false }], a: { '': 0 } };
    const sent = request(body, { url: '/v1/x?b=2&a=1&b=1' });
    const declared = { selectors: { host: ':tenant.example.com', version: '2' } };
    expect(fingerprintOf(sent, declared, 1)?.hash).toBe(
      '12be9a649deebcf1e616a2a094668459c85be76e27d95d037aef8863529bee6a',
    );
    expect(fingerprintOf(sent, {}, 2)?.hash).toBe(
      '715ab750fccb717f96d17fc3ef1fb60bd6e4efd814ddb5ec1ad107ab96b78a84',
    );
    expect(fingerprintOf(sent, declared, 2)?.hash).toBe(
      '1c6fbdbc77ac626ca72f31a321be0c7f4de019a8cc4a64bec8cf0538068d214c',
    );
  });

  it('names what differs, and never a value', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.integer(), { maxKeys: 6 }), (body) => {
        const stored = digestsOf(request(parsed(body)));
        const sent = digestsOf(request(parsed({ ...body, card: 'not hexadecimal' })));
        expect(differences(stored, sent)).toEqual(['card']);
        expect(sent).not.toContain('not hexadecimal');
        for (const digest of Object.values(JSON.parse(sent) as object)) {
          expect(digest).toMatch(/^[0-9a-f]{8}$/);
        }
      }),
      { numRuns: 300 },
    );
    const [a, b] = [request({ x: 1 }), request({ x: 1 }, { url: '/v1/refunds?y=1' })];
    expect(differences(digestsOf(a), digestsOf(b))).toEqual(['(query)']);
    const moved = request({ x: 1 }, { url: '/v1/charges' });
    expect(differences(digestsOf(a), digestsOf(moved))).toEqual(['(path)']);
  });

  it('keeps a bounded number of digests, however many parameters there are', () => {
    const many = (changed: number) =>
      Object.fromEntries(
        Array.from({ length: 5_000 }, (_, i) => [`p${i}`, i === changed ? 'x' : i]),
      );
    const [stored, sent] = [many(-1), many(4_000)].map((body) => digestsOf(request(body)));
    expect(Object.keys(JSON.parse(stored ?? '') as object).length).toBeLessThan(70);
    expect(differences(stored ?? '', sent ?? '')).toEqual(['other parameters']);
  });

  it('can be stored whatever the parameters are called', async () => {
    const shop = await openShop('fastify');
    try {
      for (const name of ['\u0000', '\ud800', `${'x'.repeat(63)}😀`, '', '(path)']) {
        const body = JSON.parse(`{"amount":1,${JSON.stringify(name)}:1}`) as object;
        const key = randomUUID();
        const first = await shop.post('/orders', body, key);
        expect([name, first.status]).toEqual([name, 201]);
        expect((await shop.post('/orders', body, key)).text).toBe(first.text);
        const other = await shop.post('/orders', { ...body, amount: 2 }, key);
        expect(other.status).toBe(422);
      }
    } finally {
      await shop.close();
    }
  });
});
