import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const CRUISE = join(ROOT, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');

interface Violation {
  readonly rule: { readonly name: string };
  readonly from: string;
  readonly to: string;
}

function violations(directory: string): string[] {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [CRUISE, 'src', 'test', '--config', '.dependency-cruiser.cjs', '--output-type', 'json'],
    { cwd: directory, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  if (!stdout.startsWith('{')) throw new Error(stderr);
  const { summary } = JSON.parse(stdout) as { summary: { violations: Violation[] } };
  return summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`).toSorted();
}

/** A project with these files, under the real rules. */
function project(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'paidonce-imports-'));
  for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']) {
    cpSync(join(ROOT, name), join(directory, name));
  }
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

const sound = {
  'src/idempotency/index.ts': `export const replay = 1;`,
  'src/accounts/index.ts': `export * from './guard';`,
  'src/accounts/guard.ts': `import { replay } from '../idempotency'; export const guard = replay;`,
  'src/payments/index.ts': `export * from './payments.service';`,
  'src/payments/payments.service.ts':
    `import { guard } from '../accounts'; import './payment.entity'; import 'typeorm'; ` +
    `export const pay = guard;`,
  'src/payments/payment.entity.ts': `export const row = 1;`,
  'src/client/index.ts': `export const retry = 1;`,
  'src/main.ts': `import { pay } from './payments'; pay;`,
  'test/payments.test.ts': `import { row } from '../src/payments/payment.entity'; row;`,
};

/** One violation for each rule, each in a file of its own. */
const planted: Record<string, { rule: string; path: string; text: string }> = Object.fromEntries(
  (
    [
      ['folders-through-index', 'src/payments/a.ts', `import '../accounts/guard';`],
      [
        'folders-through-index',
        'src/payments/b.ts',
        `import type { guard } from '../accounts/guard';
        export type G = typeof guard;`,
      ],
      ['processes-through-index', 'src/worker.ts', `import './accounts/guard';`],
      ['entities-stay-home', 'src/refunds/index.ts', `export * from './refund.entity';`],
      ['idempotency-stands-alone', 'src/idempotency/a.ts', `import '../payments';`],
      ['client-stands-alone', 'src/client/a.ts', `import '../wire';`],
      ['nobody-imports-the-processes', 'test/a.test.ts', `import '../src/main';`],
      ['src-without-tests', 'src/payments/c.ts', `import '../../test/payments.test';`],
      ['only-installed-for-production', 'src/payments/d.ts', `import 'stripe';`],
      ['resolvable', 'src/payments/e.ts', `import './nowhere';`],
    ] as const
  ).map(([rule, path, text]) => [`${rule} ${path}`, { rule, path, text }]),
);

describe('the rules about imports', () => {
  it('hold in the project', () => {
    expect(violations(ROOT)).toEqual([]);
  });

  it('let a sound project pass', () => {
    const directory = project(sound);
    expect(violations(directory)).toEqual([]);
    rmSync(directory, { recursive: true });
  });

  it('each catch the violation planted for it', () => {
    const circle = {
      'src/wire/index.ts': `import './a';`,
      'src/wire/a.ts': `import './b';`,
      'src/wire/b.ts': `import './a';`,
    };
    const refund = { 'src/refunds/refund.entity.ts': `export const refund = 1;` };
    const files = Object.values(planted).map(({ path, text }) => [path, text] as const);
    const directory = project({ ...sound, ...circle, ...refund, ...Object.fromEntries(files) });
    const caught = violations(directory);
    rmSync(directory, { recursive: true });
    for (const { rule, path } of Object.values(planted)) {
      expect(caught).toContainEqual(expect.stringMatching(`^${rule}: ${path} → `));
    }
    expect(caught).toContainEqual(expect.stringMatching('^no-circular: src/wire/'));
    const rules = new Set(caught.map((line) => line.slice(0, line.indexOf(':'))));
    const { forbidden } = jest.requireActual<{ forbidden: { name: string }[] }>(
      '../../.dependency-cruiser.cjs',
    );
    expect([...rules].toSorted()).toEqual(forbidden.map(({ name }) => name).toSorted());
  });
});
