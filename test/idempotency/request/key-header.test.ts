/** The `Idempotency-Key` header: which values are keys, and which are refused (R1, R23). */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import {
  hasCardNumber,
  IdempotencyKeyInvalidError,
  type HttpRequest,
} from '../../../src/idempotency';
import { readKey } from '../../../src/idempotency/request/key-header';
import { type Adapter, openShop, type Shop } from '../shop.fixture';

const request = (header: string | string[] | undefined): HttpRequest => ({
  method: 'POST',
  url: '/',
  headers: { 'idempotency-key': header },
});
const read = (header: string | string[] | undefined) => readKey(request(header));

/** As a string of RFC 8941. */
const quoted = (key: string) => `"${key.replace(/[\\"]/g, (character) => `\\${character}`)}"`;

/** Makes this many headers without meaning. */
const fillers = (count: number) => Array.from({ length: count }, (_, at) => `a${at}: 1`);

const printable = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 255,
});

describe('R1 a key', () => {
  it('comes quoted and names what is inside the quotes, whatever that is', () => {
    fc.assert(
      fc.property(printable, (key) => {
        expect(read(quoted(key))).toBe(key);
      }),
      { numRuns: 2_000 },
    );
  });

  it('comes bare and names itself, and the same key quoted is the same', () => {
    const bare = printable.filter((key) => !key.startsWith('"') && key === key.trim());
    fc.assert(
      fc.property(bare, (key) => {
        expect(read(key)).toBe(key);
        expect(read(quoted(key))).toBe(read(key));
      }),
      { numRuns: 2_000 },
    );
  });

  it('may be absent', () => {
    expect(read(undefined)).toBeUndefined();
  });

  it('has 255 characters at most, without its quotes', () => {
    expect(read('k'.repeat(255))).toHaveLength(255);
    expect(read(quoted('"'.repeat(255)))).toHaveLength(255);
    expect(() => read('k'.repeat(256))).toThrow('at most 255');
    expect(() => read(quoted('k'.repeat(256)))).toThrow('at most 255');
  });

  it.each([
    ['nothing in it', ''],
    ['nothing in its quotes', '""'],
    ['a lone quote', '"'],
    ['a quote that does not close', '"abc'],
    ['text after the quotes', '"abc"d'],
    ['parameters after the quotes', '"abc";a=1'],
    ['two strings', '"abc", "def"'],
    ['an escape of nothing', '"abc\\"'],
    ['an escape of a letter', '"a\\bc"'],
    ['a letter beyond ASCII', 'schlüssel'],
    ['a letter beyond ASCII in quotes', '"schlüssel"'],
    ['a tab', 'a\tb'],
    ['a delete character', 'a\u007fb'],
    ['a zero', '"a\u0000b"'],
    ['two headers that were kept apart', ['a', 'b']],
  ])('is refused with %s', (_what, header) => {
    expect(() => read(header)).toThrow(IdempotencyKeyInvalidError);
  });

  it('is one key or a refusal, never a crash, whatever the header', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (header) => {
        try {
          const key = read(header);
          expect(key).toMatch(/^[\x20-\x7e]{1,255}$/);
        } catch (error) {
          expect(error).toBeInstanceOf(IdempotencyKeyInvalidError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Its first three groups make a number of 16 digits that passes the Luhn check. */
const UUID_LIKE_A_CARD = '59861026-1836-4435-b32f-93014c15e101';

describe('R23 a key', () => {
  it.each([
    '4242424242424242',
    '4242-4242-4242-4242',
    '4242 4242 4242 4242',
    '"4242424242424242"',
    'card:378282246310005',
    'retry 5555555555554444 now',
    `4242424242424242-${UUID_LIKE_A_CARD}`,
    `${UUID_LIKE_A_CARD}-4242424242424242`,
    '4242424242424242-aaaa-4aaa-8aaa-aaaaaaaaaaaa',
  ])('that looks like a card number is refused in words that do not repeat it: %s', (key) => {
    let message = '';
    expect(() => {
      try {
        read(key);
      } catch (error) {
        ({ message } = error as Error);
        throw error;
      }
    }).toThrow(IdempotencyKeyInvalidError);
    expect(message).toContain('looks like a card number');
    expect(message).toContain('Send another one, a UUID for example');
    expect(message).not.toMatch(/\d/);
  });

  it.each([
    UUID_LIKE_A_CARD,
    UUID_LIKE_A_CARD.toUpperCase(),
    `stripe-node-retry-${UUID_LIKE_A_CARD}`,
    `order_${UUID_LIKE_A_CARD}:refund`,
    `${UUID_LIKE_A_CARD}v2`,
    `${UUID_LIKE_A_CARD} ${UUID_LIKE_A_CARD}`,
    'order-N4242424242424242',
    'order-1790000000004',
  ])('that only has the digits of one is accepted: %s', (key) => {
    expect(read(key)).toBe(key);
  });

  it('of a UUID is accepted, though one in 23,000 would pass for a card number', () => {
    expect(hasCardNumber(UUID_LIKE_A_CARD)).toBe(true);
    const uuid = fc.stringMatching(/^[0-9]{8}-[0-9]{4}-4[0-9]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    let alike = 0;
    fc.assert(
      fc.property(uuid, (key) => {
        if (hasCardNumber(key)) alike += 1;
        expect(read(key)).toBe(key);
      }),
      { numRuns: 5_000 },
    );
    expect(alike).toBeGreaterThan(50);
  });

  it('that was accepted before this rule is still finished by recovery', () => {
    expect(readKey(request('4242424242424242'), true)).toBe('4242424242424242');
  });
});

describe.each<Adapter>(['fastify', 'express'])('R1 a key on the wire, on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop(adapter);
  });
  afterAll(() => shop.close());

  /** Sends header lines unchanged, which no HTTP client does. */
  async function raw(...lines: string[]): Promise<string> {
    const { hostname, port } = new URL(shop.url);
    const socket = connect(Number(port), hostname);
    const body = '{"amount":1}';
    socket.write(
      [
        'POST /orders HTTP/1.1',
        'host: shop',
        'authorization: a',
        'content-type: application/json',
        `content-length: ${body.length}`,
        'connection: close',
        ...lines,
        '',
        body,
      ].join('\r\n'),
      'latin1',
    );
    let rawResponse = '';
    socket.setEncoding('latin1').on('data', (text: string) => (rawResponse += text));
    await once(socket, 'end');
    return rawResponse;
  }

  it.each([
    ['the same one twice', ['Idempotency-Key: twice', 'Idempotency-Key: twice']],
    ['two different ones', ['Idempotency-Key: one', 'idempotency-key: two']],
    ['one and an empty one', ['Idempotency-Key: one', 'Idempotency-Key:']],
    ['an empty one', ['Idempotency-Key:']],
    ['one with bytes beyond ASCII', ['Idempotency-Key: schl\u00fcssel']],
    ['a card number for one (R23)', ['Idempotency-Key: 4242424242424242']],
    ['a card number in quotes for one (R23)', ['Idempotency-Key: "4242 4242 4242 4242"']],
  ])('is refused, and nothing is stored, when the request has %s', async (_what, lines) => {
    const { runs } = shop.watch;
    const rawResponse = await raw(...lines);
    expect(rawResponse).toMatch(/^HTTP\/1\.1 400 /);
    expect(rawResponse).toContain('idempotency_key_invalid');
    // The id of the request is random, and has these digits now and then.
    expect(rawResponse.replace(/^request-id: .*$/m, '')).not.toMatch(/4242/);
    expect(shop.watch.runs).toBe(runs);
    const [{ n }] = await shop.dataSource.query<[{ n: number }]>(
      'SELECT count(*)::int AS n FROM idempotency_keys',
    );
    expect(n).toBe(0);
  });

  it.each([
    ['one', 'Idempotency-Key: behind'],
    ['perhaps one', 'Another-Header: behind'],
  ])(
    'is refused, and the request never run without it, when it has %s behind more headers than Node keeps',
    async (_what, line) => {
      const { runs } = shop.watch;
      // Node 20 drops what is too many; those after it refuse it themselves.
      const rawResponse = await raw(...fillers(1_100), line);
      expect(rawResponse).toMatch(
        /^HTTP\/1\.1 (400 [^]*some were dropped[^]*idempotency_key_invalid|431 )/,
      );
      expect(shop.watch.runs).toBe(runs);
    },
  );

  it('is read among no more headers than Node keeps, and so is one behind any number where it keeps all', async () => {
    const key = 'Idempotency-Key: among many';
    expect(await raw(...fillers(900), key)).toMatch(/^HTTP\/1\.1 201 /);
    expect(await raw(...fillers(900))).toMatch(/^HTTP\/1\.1 201 /);
    const server = shop.app.getHttpServer() as Server;
    server.maxHeadersCount = 0;
    expect(await raw(...fillers(1_100), key)).toContain('idempotent-replayed: true');
    expect(await raw(...fillers(1_100))).toMatch(/^HTTP\/1\.1 201 /);
    server.maxHeadersCount = 64;
    const { runs } = shop.watch;
    expect(await raw(...fillers(100), 'Idempotency-Key: other')).toMatch(/^HTTP\/1\.1 4(00|31) /);
    expect(shop.watch.runs).toBe(runs);
    server.maxHeadersCount = null;
    await shop.dataSource.query('DELETE FROM idempotency_keys');
  });

  it('may have a comma in it, which does not end it', async () => {
    const first = await raw('Idempotency-Key: one, two');
    expect(first).toMatch(/^HTTP\/1\.1 201 /);
    expect(await raw('Idempotency-Key:   one, two  ')).toContain('idempotent-replayed: true');
    expect(await raw('IDEMPOTENCY-KEY: "one, two"')).toContain('idempotent-replayed: true');
    await shop.dataSource.query('DELETE FROM idempotency_keys');
  });
});
