import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { rules, type SourceFile, untidy } from './tidy';

const ROOT = join(__dirname, '..', '..');

function sources(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({
      path: `${folder}/${name.split(sep).join('/')}`,
      text: readFileSync(join(ROOT, folder, name), 'utf8'),
    }));
}

describe('the source is tidy', () => {
  it('no rule is broken anywhere', () => {
    expect(untidy([...sources('src'), ...sources('test')])).toEqual([]);
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
    ['function-length', 'src/wire/ids.ts', `function f() {\n${'f();\n'.repeat(69)}}`],
    ['role-in-the-name', 'src/wire/utils.ts', ''],
    ['role-in-the-name', 'src/common/ids.ts', ''],
    ['nothing-left-to-do', 'src/wire/ids.ts', '// TODO: later'],
  ])('%s: a planted violation in %s is caught', (rule, path, text) => {
    expect(untidy([{ path, text }])).toEqual([expect.stringMatching(`^${rule} ${path}:\\d+$`)]);
  });

  it.each<[rule: string, path: string, text: string]>([
    ['sql-in-stores', 'src/payments/payments.store.ts', "q('SELECT 1');"],
    ['sql-in-stores', 'src/payments/payments.service.ts', "f('Select a card first.', 'updated');"],
    ['database-decides-the-time', 'src/idempotency/phases.ts', 'const t = performance.now();'],
    ['settings-in-one-place', 'src/runtime/settings.ts', 'const p = process.env.PORT;'],
    ['function-length', 'src/wire/ids.ts', `function f() {\n${'f();\n'.repeat(68)}}`],
  ])('%s lets pass what it is not about in %s', (_rule, path, text) => {
    expect(untidy([{ path, text }])).toEqual([]);
  });

  it('every rule has a planted violation', () => {
    const planted = readFileSync(__filename, 'utf8');
    for (const { name } of rules) expect(planted).toContain(`['${name}', `);
  });
});
