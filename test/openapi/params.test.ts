/** Every parameter accepts what its schema in the document allows, and nothing else. */
import 'reflect-metadata';
import Ajv2020 from 'ajv/dist/2020';
import { getMetadataStorage } from 'class-validator';
import '../../src/app.module';
import { declaredParams, Refusal } from '../../src/wire';

/** Every parameter of every request, by the name of its class. */
const params = declaredParams
  // A hash has the schema of its own parameters, which are here too.
  .filter(({ nested }) => !nested)
  .map((param) => [`${param.target.constructor.name}.${param.property}`, param] as const);

const text = (length: number) => 'a'.repeat(length);
const texts = (count: number) => Array.from({ length: count }, () => 'visa');
const entries = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key_${index}`, 'x']));

/** What a client may think of, and both sides of every bound there is. */
const values: unknown[] = [
  [0, 1, 2, 3, 12, 13, 20, 21, 22, 23, 255, 256, 500, 501, 512, 513].map(text),
  [1000, 1001, 2048, 2049, 5000, 5001].map(text),
  ['usd', 'USD', 'zzz', 'card', 'SHOP', 'duplicate', 'abandoned', 'always', 'none', 'off_session'],
  ['one_off', 'recurring', 'automatic', 'manual', 'automatic_async', 'customer', 'data.customer'],
  ['ada@example.com', `${text(500)}@example.com`, 'ada @example.com', '@', '2000', 'true', ' '],
  ['https://shop.example/back', 'http://[::1]:3000/', 'myapp://back', 'com.example.app:/back'],
  [
    'https://',
    'https:shop',
    'http:///x',
    'myapp:back',
    'c:/x',
    'https://shop.example/"',
    '\tmyapp://x',
  ],
  [
    'javascript://x',
    'data:/x',
    'ms-msdt:/x',
    'chrome://x',
    'file:///x',
    'vnd.ms.radio:/x',
    'msx://x',
  ],
  [2048, 2049].map((length) => `https://shop.example/${text(length - 21)}`),
  [-1, 0, 1, 1.5, 10, 100, 101, 99_999_999, 100_000_000, 253_402_300_799, 253_402_300_800],
  [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, true, false, null],
  [[], ['customer'], ['charge'], [''], [1], [text(501)], [text(500)], [null]],
  [20, 21, 100, 101].map(texts),
  [
    {},
    { key: 'x' },
    { key: '' },
    { key: 1 },
    { key: null },
    { key: {} },
    { '': 'x' },
    { 'a]': 'x' },
  ],
  [{ [text(40)]: 'x' }, { [text(41)]: 'x' }, { key: text(500) }, { key: text(501) }, entries(50)],
  [{ gt: 1 }, { gte: 1, lt: 2 }, { lte: -1 }, { eq: 1 }, { gt: 'x' }],
].flat();

/** What forms and SDKs send in place of a JSON type is accepted too, and the document need not say so. */
function isLenient(name: string, value: unknown): boolean {
  if (value === '2000' || value === 'true' || value === 'USD') return true;
  // An empty hash is an empty list to a form.
  const empty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  if (empty) return true;
  // `key: null` removes the entry as `key: ''` does, and other scalars become texts.
  return name.endsWith('.metadata') && Object.values(value as object).some(isScalar);
}

const isScalar = (value: unknown) => value === null || typeof value === 'number';

const ajv = new Ajv2020({ strict: false });

it('whatever is checked has a schema: class-validator, whose rules have none, checks nothing', () => {
  const rules = [...getMetadataStorage()['validationMetadatas'].values()].flat();
  expect(rules.map(({ propertyName }) => propertyName)).toEqual([]);
});

it('there are parameters of every kind', () => {
  expect(params.length).toBeGreaterThan(100);
  expect(params.map(([name]) => name)).toEqual(
    expect.arrayContaining(['CreatePaymentIntentParams.amount', 'ListParams.created']),
  );
});

it.each(params)('%s takes whatever its schema lets pass, and refuses the rest', (name, param) => {
  const { property, coerce, schema, unsettable } = param;
  const matches = ajv.compile(unsettable ? { anyOf: [schema, { type: 'null' }] } : schema);
  const wrong = values.filter((value) => {
    const taken = !(coerce(value) instanceof Refusal);
    const promised = matches(value);
    if (promised) return !taken && !isExpandable(property, value);
    return taken && !isLenient(name, value) && !(unsettable && value === '');
  });
  expect(wrong).toEqual([]);
});

/** Which paths can be expanded is checked against the references, which a schema cannot say. */
function isExpandable(property: string, value: unknown): boolean {
  return property === 'expand' && Array.isArray(value);
}
