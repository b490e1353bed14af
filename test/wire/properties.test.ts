/** What holds for every input: forms, JSON bodies, money, ids. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import fc from 'fast-check';
import {
  ApiError,
  CURRENCIES,
  decimalsOf,
  formatAmount,
  MAX_AMOUNT,
  MIN_AMOUNT,
  newId,
} from '../../src/wire';
import { parseForm } from '../../src/wire/request/form-body';
import { extentOf } from '../../src/wire/request/json-body';
import { readBody } from '../../src/wire/request/request-reader';
import { thingsApp } from './things-app.fixture';

const FORM = 'application/x-www-form-urlencoded';

/** A parameter's name or a key of a hash: no brackets, and none that reaches a prototype. */
const name = fc
  .string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
  .filter((text) => !/[[\]]/.test(text) && text !== '__proto__');
const leaf = fc.string({ maxLength: 20, unit: 'grapheme' });

type Tree = { [key: string]: string | string[] | Tree };
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc
    .uniqueArray(
      fc.tuple(
        name,
        fc.oneof(
          { depthSize: 'small', maxDepth: 4 },
          leaf,
          fc.array(leaf, { minLength: 1, maxLength: 4 }),
          tie('tree').filter((subtree) => Object.keys(subtree).length > 0),
        ),
      ),
      { maxLength: 5, selector: ([key]) => key },
    )
    .map((entries) => Object.fromEntries(entries)),
}));

/** As the SDKs write it, with `[]` for the entries of a list. */
function encodeForm(value: Tree, parent?: string): string {
  return Object.entries(value)
    .map(([key, entry]) => {
      const path = parent === undefined ? key : `${parent}[${key}]`;
      if (typeof entry === 'string') {
        return `${encodeURIComponent(path)}=${encodeURIComponent(entry)}`;
      }
      if (!Array.isArray(entry)) return encodeForm(entry, path);
      return entry
        .map((item) => `${encodeURIComponent(`${path}[]`)}=${encodeURIComponent(item)}`)
        .join('&');
    })
    .join('&');
}

describe('every form', () => {
  it('that was encoded reads back as what it was', () => {
    fc.assert(
      fc.property(tree, (value) => {
        expect(parseForm(encodeForm(value))).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it('of any text is a hash or a 400, and never touches a prototype', () => {
    const fragment = fc.oneof(
      fc.constantFrom('[', ']', '[]', '=', '&', '%', '%5B', '%00', '+', '__proto__', 'constructor'),
      fc.string({ maxLength: 5, unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 20 }), (fragments) => {
        const text = fragments.join('').replaceAll(/\p{Surrogate}/gu, '');
        const refused = attempt(() => readBody(Buffer.from(text), { 'content-type': FORM }));
        if (refused !== undefined) expect(refused.status).toBe(400);
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('every JSON text', () => {
  /** Counted on what was parsed. */
  function counted(value: unknown): { values: number; depth: number } {
    const within = typeof value === 'object' && value !== null ? Object.values(value) : [];
    const inner = within.map(counted);
    return {
      values: Math.max(
        1,
        inner.reduce((sum, { values }) => sum + values, 0),
      ),
      depth:
        typeof value === 'object' && value !== null
          ? 1 + Math.max(0, ...inner.map(({ depth }) => depth))
          : 0,
    };
  }

  it('is counted on its bytes as it would be parsed', () => {
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom('"', '\\', ',', '[', ']', '{', '}', ':', 'é') }),
      fc.string({ unit: 'binary' }),
    );
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 6 },
        text,
        fc.integer(),
        fc.constantFrom(null, true, [], {}),
        fc.array(tie('json'), { maxLength: 4 }),
        fc.dictionary(text, tie('json'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(json, fc.constantFrom(0, 1), (value, indent) => {
        const bytes = Buffer.from(JSON.stringify(value, undefined, indent));
        expect(extentOf(bytes)).toEqual(counted(JSON.parse(bytes.toString())));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('every body', () => {
  let app: NestFastifyApplication;
  beforeAll(async () => {
    app = await thingsApp();
  });
  afterAll(() => app.close());

  async function statusOf(payload: Buffer, type: string): Promise<number> {
    const headers = { 'content-type': type };
    const res = await app.inject({ method: 'POST', url: '/v1/things', payload, headers });
    const body = res.json<{ error?: { type: string; message: string } }>();
    if (res.statusCode >= 400) {
      expect(body.error?.type).toBe('invalid_request_error');
      expect(body.error?.message.length).toBeGreaterThan(10);
    }
    return res.statusCode;
  }

  it('of any bytes is a 201, 400 or 415', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(FORM, 'application/json', 'text/plain'),
        async (bytes, type) => {
          expect([201, 400, 415]).toContain(await statusOf(Buffer.from(bytes), type));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('of any JSON is a 201 or 400', async () => {
    const params = fc.record(
      {
        amount: fc.jsonValue(),
        currency: fc.oneof(fc.constant('usd'), fc.jsonValue()),
        card: fc.jsonValue(),
        metadata: fc.jsonValue({ stringUnit: 'binary' }),
        types: fc.jsonValue(),
        expand: fc.jsonValue(),
        description: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(params, fc.jsonValue()), async (value) => {
        const payload = Buffer.from(JSON.stringify(value));
        expect([201, 400]).toContain(await statusOf(payload, 'application/json'));
      }),
      { numRuns: 1000 },
    );
  });

  it('means the same as a form and as JSON', async () => {
    const metadata = fc.dictionary(
      name.filter((key) => key.length <= 40),
      leaf,
      { maxKeys: 5 },
    );
    const amount = fc.integer({ min: MIN_AMOUNT, max: MAX_AMOUNT });
    await fc.assert(
      fc.asyncProperty(amount, metadata, fc.boolean(), async (cents, hash, capture) => {
        fc.pre(Object.keys(hash).length > 0);
        const form = encodeForm({
          amount: String(cents),
          currency: 'usd',
          capture: String(capture),
          metadata: hash,
        });
        const json = JSON.stringify({ amount: cents, currency: 'usd', capture, metadata: hash });
        const received = [];
        for (const [payload, type] of [
          [form, FORM],
          [json, 'application/json'],
        ] as const) {
          const headers = { 'content-type': type };
          const res = await app.inject({ method: 'POST', url: '/v1/things', payload, headers });
          received.push(res.json<{ received?: unknown }>());
        }
        expect(received[0]).toEqual(received[1]);
      }),
      { numRuns: 300 },
    );
  });

  it('with an amount takes exactly the integers from 1 to 99,999,999', async () => {
    const any = fc.oneof(
      fc.integer(),
      fc.integer({ min: -2, max: 3 }),
      fc.integer({ min: MAX_AMOUNT - 2, max: MAX_AMOUNT + 2 }),
      fc.double(),
      fc.maxSafeInteger(),
    );
    await fc.assert(
      fc.asyncProperty(any, fc.boolean(), async (amount, quoted) => {
        const sent = quoted ? String(amount) : amount;
        const payload = Buffer.from(JSON.stringify({ amount: sent, currency: 'usd' }));
        const valid = Number.isInteger(amount) && amount >= MIN_AMOUNT && amount <= MAX_AMOUNT;
        expect(await statusOf(payload, 'application/json')).toBe(valid ? 201 : 400);
      }),
      { numRuns: 500 },
    );
  });
});

describe('money', () => {
  it.each([
    [1099, 'usd', '10.99 USD'],
    [5, 'usd', '0.05 USD'],
    [1099, 'jpy', '1099 JPY'],
    [1099, 'bhd', '1.099 BHD'],
    [100, 'huf', '1.00 HUF'],
    [-5, 'eur', '-0.05 EUR'],
  ])('%i %s reads %s', (amount, currency, text) => {
    expect(formatAmount(amount, currency)).toBe(text);
  });

  it('is written so that it can be read back exactly, in every currency', () => {
    const amount = fc.integer({ min: -MAX_AMOUNT, max: MAX_AMOUNT });
    fc.assert(
      fc.property(amount, fc.constantFrom(...CURRENCIES), (cents, currency) => {
        const [digits = ''] = formatAmount(cents, currency).split(' ');
        expect(digits.split('.')[1]?.length ?? 0).toBe(decimalsOf(currency));
        expect(Number(digits.replace('.', ''))).toBe(cents === 0 ? 0 : cents);
      }),
    );
  });

  it('is refused in a currency nobody knows', () => {
    expect(() => decimalsOf('xxx')).toThrow(RangeError);
  });
});

describe('ids', () => {
  it('ascend, byte by byte, and never repeat', () => {
    const ids = Array.from({ length: 10_000 }, () => newId('cus'));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))).toEqual(ids);
    for (const id of ids.slice(0, 100)) expect(id).toMatch(/^cus_[0-9A-Za-z]{24}$/);
  });

  it('ascend also when the clock is set back or stands still', () => {
    const clock = jest.spyOn(Date, 'now');
    try {
      clock.mockReturnValue(Date.UTC(2090, 0));
      const before = newId('cus');
      clock.mockReturnValue(Date.UTC(2080, 0));
      const after = Array.from({ length: 300_000 }, () => newId('cus'));
      expect([before, ...after].every((id, i, all) => i === 0 || id > (all[i - 1] ?? ''))).toBe(
        true,
      );
    } finally {
      clock.mockRestore();
    }
  });
});

/** The refusal `work` ends with; anything but an ApiError fails the test. */
function attempt(work: () => unknown): ApiError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError);
    return error as ApiError;
  }
}
