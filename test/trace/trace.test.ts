/** `npm run trace` on examples that are short enough to count by hand. */
import 'reflect-metadata';
import { join } from 'node:path';
import { transformSync } from '@swc/core';
import { Recorder } from './recorder';
import { codePathOf } from './code-path';

const SHOP = `import { Basket } from './basket';
import { round } from './money';

export function pay(prices: number[]): number {
  const basket = new Basket(prices);
  const sum = [basket].map((each) => each.total);
  return round(sum[0]!);
}
`;
const BASKET = `import { round } from './money';

export class Basket {
  constructor(private readonly prices: number[]) {}

  get total(): number {
    return this.prices.map((price) => round(price)).reduce((sum, price) => sum + price);
  }

  isEmpty() {
    return this.prices.length === 0;
  }
}
`;
const MONEY = `export const round = (amount: number) => Math.round(amount);
`;

/** Compiles and loads sources that import each other, and gives the exports of the last one. */
function load(recorder: Recorder, sources: Readonly<Record<string, string>>) {
  const loaded: Record<string, object> = {};
  let last: Record<string, unknown> = {};
  for (const [file, text] of Object.entries(sources)) {
    const { code } = transformSync(recorder.instrument(file, text), {
      filename: file,
      configFile: join(__dirname, '..', '..', '.swcrc'),
      sourceMaps: false,
    });
    last = {};
    loaded[`./${file.replace('.ts', '')}`] = last;
    // oxlint-disable-next-line typescript/no-implied-eval -- in the globals of this test
    new Function('require', 'exports', code)((name: string) => loaded[name] ?? require(name), last);
  }
  return last as Record<string, (...given: unknown[]) => unknown>;
}

describe('npm run trace', () => {
  const recorder = new Recorder();
  const trace = (run: () => unknown) => {
    recorder.start();
    run();
    return recorder.stop();
  };
  beforeAll(() => recorder.install());
  afterAll(() => recorder.stop());

  test('counts each function at its first execution, files, changes of file and returns', () => {
    const { pay } = load(recorder, { 'money.ts': MONEY, 'basket.ts': BASKET, 'shop.ts': SHOP });
    pay!([1, 2]); // before the trace: not counted

    const steps = trace(() => pay!([3, 4]));

    expect(steps.map(({ file, line, name }) => `${file}:${line} ${name}`)).toEqual([
      'shop.ts:4 pay',
      'basket.ts:4 Basket.constructor',
      'shop.ts:6 pay > map()',
      'basket.ts:6 Basket.get total',
      'basket.ts:7 Basket.get total > map()',
      'money.ts:1 round',
      'basket.ts:7 Basket.get total > reduce()',
    ]);
    expect(codePathOf(steps)).toEqual({
      visited: 3,
      changes: 5,
      returns: 3,
      files: [
        { file: 'shop.ts', functions: 2, returns: 1 },
        { file: 'basket.ts', functions: 4, returns: 2 },
        { file: 'money.ts', functions: 1, returns: 0 },
      ],
    });
    expect(trace(() => pay!([3, 4]))).toEqual(steps);
    expect(trace(() => undefined)).toEqual([]);
  });

  test('leaves the behaviour of the source as it is', () => {
    const text = `
function logged(_target: object, _name: string, _property: PropertyDescriptor) {}
class Base { constructor(readonly given: number) {} }
class Derived extends Base {
  readonly doubled = this.given * 2;
  constructor(readonly extra: Date, ...rest: number[]) { super(rest[0]!); }
  @logged both(first: Date): string { return typeof first; }
  overloaded(): void;
  overloaded(_text?: string): void {}
}
function strict(this: unknown) { 'use strict'; return this; }
function* numbers() { yield 1; yield 2; }
export const results = () => [
  (() => ({ a: 1 }))(),
  ((a: number) => (b: number) => a + b)(1)(2),
  (() => // why
    'text')(),
  new Derived(new Date(0), 21).doubled,
  Reflect.getMetadata('design:paramtypes', Derived.prototype, 'both')[0] === Date,
  strict.call(undefined),
  [...numbers()],
];
`;
    const rewritten = recorder.instrument('everything.ts', text);

    expect(rewritten.split('\n')).toHaveLength(text.split('\n').length);
    const { results } = load(recorder, { 'everything.ts': text });
    expect(results!()).toEqual([{ a: 1 }, 3, 'text', 42, true, undefined, [1, 2]]);
    expect(trace(results!).map(({ name }) => name)).toEqual([
      'results',
      'results > anonymous',
      'results > anonymous',
      'results > anonymous > anonymous',
      'results > anonymous',
      'Derived.constructor',
      'Base.constructor',
      'strict',
      'numbers',
    ]);
  });
});
