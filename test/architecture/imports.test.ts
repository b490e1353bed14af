/** Imports keep the rules of .dependency-cruiser.cjs, and each rule catches the violation planted for it. */
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
  'src/idempotency/index.ts': `export * from './recovery/recovery.job';`,
  'src/idempotency/idempotency.module.ts': `import './store/postgres/postgres-key.store'; import './index'; export const module = 1;`,
  'src/idempotency/contract/options.ts': `export const options = 1;`,
  'src/idempotency/card-numbers/search.ts': `export const search = 1;`,
  'src/idempotency/request/scope.ts': `import '../contract/options'; import '../card-numbers/search'; export const scope = 1;`,
  'src/idempotency/store/key.store.ts': `import '../request/scope'; export const store = 1;`,
  'src/idempotency/store/postgres/postgres-key.store.ts': `import '../key.store'; import '../../contract/options'; import 'pg'; import 'typeorm';`,
  'src/idempotency/attempts/attempt.ts': `import '../store/key.store'; import '../contract/options';`,
  'src/idempotency/replays/cache.ts': `import '../store/key.store';`,
  'src/idempotency/pipeline/interceptor.ts': `import '../attempts/attempt'; import '../replays/cache';`,
  'src/idempotency/recovery/recovery.job.ts': `import '../pipeline/interceptor'; import '../store/key.store'; export const replay = 1;`,
  'src/idempotency/conformance/probe/probe.ts': `import 'node:http'; export const probe = 1;`,
  'src/idempotency/conformance/checks/check.ts': `import '../probe/probe';`,
  'src/idempotency/conformance/run.ts': `import './checks/check'; import './probe/probe';`,
  'src/idempotency/conformance/conformance-command.ts': `import './run';`,
  'src/wire/schema/schema.ts': `export const schema = 1;`,
  'src/wire/errors/errors.ts': `import '../schema/schema';`,
  'src/wire/params/param.ts': `import '../errors/errors'; import '../schema/schema';`,
  'src/wire/request/body.ts': `import '../errors/errors';`,
  'src/wire/response/list.ts': `import '../errors/errors';`,
  'src/wire/configure.ts': `import './request/body'; import './response/list'; import './params/param';`,
  'src/gateway/index.ts': `export * from './gateways';`,
  'src/gateway/gateway.ts': `export type Gateway = 1;`,
  'src/gateway/gateways.ts': `import './adapters/http.gateway'; export const gateways = 1;`,
  'src/gateway/adapters/http.gateway.ts': `import type { Gateway } from '../gateway'; import '../../sandbox-acquirer'; export type G = Gateway;`,
  'src/sandbox-acquirer/index.ts': `export * from './ledger.store';`,
  'src/sandbox-acquirer/ledger.store.ts': `import '../runtime'; export const ledger = 1;`,
  'src/runtime/index.ts': `export const settings = 1;`,
  'src/database/index.ts': `export * from './tenant.entity';`,
  'src/database/tenant.entity.ts': `export const tenant = 1;`,
  'src/accounts/index.ts': `export * from './guard';`,
  'src/accounts/guard.ts': `import { replay } from '../idempotency'; export const guard = replay;`,
  'src/payments/index.ts': `export * from './payments.service';`,
  'src/payments/payments.service.ts':
    `import { guard } from '../accounts'; import './payment.entity'; import 'typeorm'; ` +
    `export const pay = guard;`,
  'src/payments/payment.entity.ts': `export const row = 1;`,
  'src/payments/payment-methods/card.ts': `export const card = 1;`,
  'src/payments/charges/charge.ts': `import '../payment-methods/card';`,
  'src/payments/payment-intents/intent.ts': `import '../charges/charge'; import '../payment-methods/card';`,
  'src/client/index.ts': `export const retry = 1;`,
  'src/main.ts': `import { pay } from './payments'; pay;`,
  'test/payments.test.ts': `import { row } from '../src/payments/payment.entity'; row;`,
};

const ADAPTER = `import '../store/postgres/postgres-key.store';`;

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
      ['entities-stay-home', 'src/checkout/index.ts', `export * from './session.store';`],
      ...(
        [
          ['idempotency', 'card-numbers', '../contract/options'],
          ['idempotency', 'contract', '../request/scope'],
          ['idempotency', 'request', '../store/key.store'],
          ['idempotency', 'store', '../attempts/attempt'],
          ['idempotency', 'store/postgres', '../../attempts/attempt'],
          ['idempotency', 'attempts', '../replays/cache'],
          ['idempotency', 'replays', '../attempts/attempt'],
          ['idempotency', 'pipeline', '../recovery/recovery.job'],
          ['idempotency', 'recovery', '../idempotency.module'],
          ['idempotency/conformance', 'probe', '../checks/check'],
          ['idempotency/conformance', 'checks', '../run'],
          ['wire', 'schema', '../errors/errors'],
          ['wire', 'errors', '../params/param'],
          ['wire', 'params', '../request/body'],
          ['wire', 'request', '../response/list'],
          ['wire', 'response', '../configure'],
          ['payments', 'payment-methods', '../charges/charge'],
          ['payments', 'charges', '../payment-intents/intent'],
        ] as const
      ).map(
        ([folder, room, above]) =>
          ['rooms-have-a-direction', `src/${folder}/${room}/up.ts`, `import '${above}';`] as const,
      ),
      ['store-behind-its-port', 'src/idempotency/pipeline/a.ts', ADAPTER],
      ['store-behind-its-port', 'src/idempotency/key-status.ts', ADAPTER.replace('..', '.')],
      ['database-in-the-adapter', 'src/idempotency/store/a.ts', `import 'typeorm';`],
      ['database-in-the-adapter', 'src/idempotency/idempotency.module.ts', `import 'typeorm';`],
      [
        'database-in-the-adapter',
        'src/idempotency/attempts/a.ts',
        `import type { Pool } from 'pg'; export type P = Pool;`,
      ],
      ['gateway-is-a-port', 'src/gateway/gateway.ts', `import './adapters/http.gateway';`],
      ['acquirer-is-another-company', 'src/sandbox-acquirer/a.ts', `import '../gateway';`],
      ['idempotency-stands-alone', 'src/idempotency/a.ts', `import '../payments';`],
      [
        'conformance-stands-alone',
        'src/idempotency/conformance/a.ts',
        `import '../contract/options';`,
      ],
      ['conformance-stands-alone', 'src/idempotency/conformance/b.ts', `import 'rxjs';`],
      ['conformance-stands-alone', 'src/idempotency/b.ts', `import './conformance/probe/probe';`],
      ['client-stands-alone', 'src/client/a.ts', `import '../wire';`],
      ['nobody-imports-the-processes', 'test/a.test.ts', `import '../src/main';`],
      [
        'nobody-imports-the-processes',
        'test/b.test.ts',
        `import '../src/idempotency/conformance/conformance-command';`,
      ],
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
      'src/wire/a.ts': `import type { B } from './b'; export type A = B;`,
      'src/wire/b.ts': `import './a'; export type B = 1;`,
    };
    // No file leads back to itself, and yet each room leads to the other.
    const rooms = {
      'src/accounts/a.ts': `import '../refunds/d';`,
      'src/refunds/d.ts': ``,
      'src/refunds/e.ts': `import type { guard } from '../accounts'; export type E = typeof guard;`,
    };
    const resources = {
      'src/refunds/refund.entity.ts': `export const refund = 1;`,
      'src/checkout/session.store.ts': `export const session = 1;`,
    };
    const files = Object.values(planted).map(({ path, text }) => [path, text] as const);
    const directory = project({
      ...sound,
      ...circle,
      ...rooms,
      ...resources,
      ...Object.fromEntries(files),
    });
    const caught = violations(directory);
    rmSync(directory, { recursive: true });
    for (const { rule, path } of Object.values(planted)) {
      expect(caught).toContainEqual(expect.stringMatching(`^${rule}: ${path} → `));
    }
    expect(caught).toContainEqual(expect.stringMatching('^no-circular: src/wire/'));
    expect(caught).toContainEqual(expect.stringMatching('^no-cycle-of-rooms: src/accounts → '));
    const rules = new Set(caught.map((line) => line.slice(0, line.indexOf(':'))));
    const { forbidden } = jest.requireActual<{ forbidden: { name: string }[] }>(
      '../../.dependency-cruiser.cjs',
    );
    expect([...rules].toSorted()).toEqual(
      [...new Set(forbidden.map(({ name }) => name))].toSorted(),
    );
  });
});
