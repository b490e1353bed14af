/** The source keeps the rules of tidy.ts, and each rule catches the violation planted for it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { SourceFile } from './finding';
import { rules, untidy } from './tidy';

const ROOT = join(__dirname, '..', '..');
const SAYS = '/** Says what it is for. */\n';

function sources(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({
      path: `${folder}/${name.split(sep).join('/')}`,
      text: readFileSync(join(ROOT, folder, name), 'utf8'),
    }));
}

/** A planted file; unless it says otherwise, with the first sentence that every file has. */
function planted(path: string, text: string): SourceFile {
  return { path, text: text.startsWith('//') ? text : SAYS + text };
}

describe('the source is tidy', () => {
  it('no rule is broken anywhere', () => {
    expect(untidy(['src', 'test', 'bench'].flatMap(sources))).toEqual([]);
  });

  it.each<[rule: string, path: string, text: string]>([
    ['sql-in-stores', 'src/payments/payments.service.ts', 'q(`\n  SELECT 1 FROM t`);'],
    ['sql-in-stores', 'src/payments/payments.service.ts', "q('update t set a = 1');"],
    ['sql-in-stores', 'src/payments/payments.service.ts', 'q(`DELETE FROM ${table}`);'],
    ['sql-in-stores', 'src/refunds/refunds.service.ts', "({ at: () => 'now()' });"],
    ['database-decides-the-time', 'src/idempotency/phases.ts', 'const t = Date.now();'],
    ['database-decides-the-time', 'src/idempotency/phases.ts', 'const t = new Date();'],
    ['settings-in-one-place', 'src/wire/ids.ts', 'const p = process.env.PORT;'],
    ['settings-in-one-place', 'src/main.ts', 'const { env } = process;'],
    ['ambient-is-listed', 'src/wire/ids.ts', 'const inside = new AsyncLocalStorage<string>();'],
    ['function-length', 'src/wire/ids.ts', `function f() {\n${'f();\n'.repeat(69)}}`],
    ['few-arguments', 'src/wire/ids.ts', 'function f(a, b, c, d, e) {}'],
    ['few-arguments', 'bench/load.ts', 'const f = (a, b, c, d, e) => a;'],
    ['few-arguments', 'src/wire/ids.ts', 'class A { constructor(a, b, c, d, e) {} }'],
    ['few-arguments', 'src/wire/ids.ts', 'interface A { f(a, b, c, d, e): void }'],
    ['few-arguments', 'src/wire/ids.ts', 'class A { @Get() f(@Param() a, b, c, d, e) {} }'],
    ['tokens-are-classes', 'src/wire/ids.ts', "export const Ids = Symbol('Ids');"],
    ['enhancers-by-provider', 'src/wire/ids.ts', 'app.useGlobalPipes(new IdPipe());'],
    ['private-by-keyword', 'src/wire/ids.ts', 'class A { readonly #b = 1; }'],
    ['private-by-keyword', 'src/wire/ids.ts', 'class A { static #b() {} }'],
    ['private-by-keyword', 'src/wire/ids.ts', 'class A { get #b() { return 1; } }'],
    ['first-sentence', 'src/wire/ids.ts', "// Ids.\nimport './b';"],
    ['first-sentence', 'test/wire/ids.test.ts', '// Says what it is for.'],
    ['role-in-the-name', 'src/wire/utils.ts', ''],
    ['role-in-the-name', 'src/common/ids.ts', ''],
    ['dots-separate-roles', 'src/wire/card.number.ts', ''],
    ['dots-separate-roles', 'src/wire.format/ids.ts', ''],
    ['dots-separate-roles', 'test/customers/customers.list.test.ts', ''],
    ['no-vague-names', 'src/wire/ids.ts', 'interface OutgoingAnswer {}'],
    ['no-vague-names', 'test/wire/ids.test.ts', 'const { answer } = f();'],
    ['no-vague-names', 'src/wire/ids.ts', 'const MOST_IDS = 1;'],
    ['no-vague-names', 'src/wire/ids.ts', 'class A { decided() {} }'],
    ['no-vague-names', 'bench/ids.ts', 'class A { #sealed = false; }'],
    ['nothing-left-to-do', 'src/wire/ids.ts', 'f(); // TODO: later'],
  ])('%s: a planted violation in %s is caught', (rule, path, text) => {
    expect(untidy([planted(path, text)])).toEqual([
      expect.stringMatching(`^${rule} ${path}:\\d+ – .`),
    ]);
  });

  it.each<[rule: string, path: string, text: string]>([
    ['sql-in-stores', 'src/payments/payments.store.ts', "q('SELECT 1');"],
    ['sql-in-stores', 'src/payments/payments.service.ts', "f('Select a card first.', 'updated');"],
    ['database-decides-the-time', 'src/idempotency/phases.ts', 'const t = performance.now();'],
    ['settings-in-one-place', 'src/runtime/settings.ts', 'const p = process.env.PORT;'],
    [
      'ambient-is-listed',
      'src/accounts/principal.ts',
      'const inside = new AsyncLocalStorage<P>();',
    ],
    ['function-length', 'src/wire/ids.ts', `function f() {\n${'f();\n'.repeat(68)}}`],
    ['few-arguments', 'src/wire/ids.ts', 'function f(a, b, c, d) {}'],
    [
      'few-arguments',
      'src/a.service.ts',
      '@Injectable() class A { constructor(a, b, c, d, e) {} }',
    ],
    [
      'few-arguments',
      'src/a.ts',
      'class A { @Get() f(@A() a, @B() b, @C() c, @D() d, @E() e) {} }',
    ],
    ['few-arguments', 'src/wire/ids.ts', 'class A extends B { override f(a, b, c, d, e) {} }'],
    ['few-arguments', 'src/wire/ids.ts', 'text.replace(/./, (a, b, c, d, e) => e);'],
    ['tokens-are-classes', 'src/wire/ids.ts', "export const ID_OPTIONS = Symbol('ID_OPTIONS');"],
    ['private-by-keyword', 'src/wire/ids.ts', 'class A { private readonly b = 1; }'],
    ['first-sentence', 'src/client/openapi.types.ts', '// generated'],
    ['dots-separate-roles', 'src/wire/card-number.params.ts', ''],
    ['dots-separate-roles', 'test/wire/error.filter.test.ts', ''],
    ['no-vague-names', 'src/wire/ids.ts', "f(a.answer, 'answer'); import { answer } from 'b';"],
    ['no-vague-names', 'src/wire/ids.ts', 'const ended = once(child); const answerable = 1;'],
  ])('%s lets pass what it is not about in %s', (_rule, path, text) => {
    expect(untidy([planted(path, text)])).toEqual([]);
  });

  it.each<[string, files: Record<string, string>]>([
    [
      'in two files of a package',
      { 'src/wire/a.ts': 'function f() {}', 'src/refunds/b.ts': 'const f = 1;' },
    ],
    [
      'as a type and a class',
      { 'src/idempotency/a.ts': 'type T = 1;', 'src/idempotency/b.ts': 'export class T {}' },
    ],
  ])('one-name-one-thing: a name %s is caught', (_where, files) => {
    const all = Object.entries(files).map(([path, text]) => planted(path, text));
    const caught = expect.stringMatching('^one-name-one-thing src/');
    expect(untidy(all)).toEqual([caught, caught]);
  });

  it('one-name-one-thing lets pass a name that is imported, exported again, or of another package', () => {
    const files = [
      planted('src/wire/ids.ts', 'export const newId = 1; export type newId = 1;'),
      planted('src/wire/index.ts', "export { newId } from './ids';"),
      planted('src/refunds/a.ts', "import { newId } from '../wire'; const { b } = newId;"),
      planted('src/refunds/b.ts', 'const { b } = c;'),
      planted('src/client/ids.ts', 'const newId = 1;'),
    ];
    expect(untidy(files)).toEqual([]);
  });

  it('every rule has a planted violation', () => {
    const test = readFileSync(__filename, 'utf8');
    for (const { name } of rules) expect(test).toMatch(new RegExp(`\\['${name}', |'${name}: `));
  });
});
