/** What `npm pack` makes, as those who install it find it: `paidonce/client` alone, without the server. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const NODE_MODULES = join(ROOT, 'node_modules');
const bin = (path: string) => join(NODE_MODULES, path);

let site: string;
let tarball: string;
let shop: string;

/** Runs a program to its end; its output, or an error with all it said. */
function run(cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}:\n${stdout}\n${stderr}`);
  return stdout;
}

beforeAll(() => {
  site = mkdtempSync(join(tmpdir(), 'paidonce-package-'));
  // A copy, so that building it disturbs nobody who runs from dist/.
  const copy = join(site, 'project');
  mkdirSync(copy);
  const files = 'package.json README.md LICENSE src nest-cli.json .swcrc'.split(' ');
  for (const file of [...files, 'tsconfig.json', 'tsconfig.client.json']) {
    cpSync(join(ROOT, file), join(copy, file), { recursive: true });
  }
  symlinkSync(NODE_MODULES, join(copy, 'node_modules'));
  run(copy, 'npm', 'pack', '--pack-destination', site, '--loglevel', 'error'); // builds: prepack
  tarball = join(site, 'paidonce-0.1.0.tgz');
  shop = join(site, 'shop');
  const installed = join(shop, 'node_modules', 'paidonce');
  mkdirSync(installed, { recursive: true });
  run(site, 'tar', '-xzf', tarball, '-C', installed, '--strip-components', '1');
  // Of the package's dependencies the client needs these alone.
  for (const name of ['openapi-fetch', 'openapi-typescript-helpers']) {
    symlinkSync(bin(name), join(shop, 'node_modules', name));
  }
  writeFileSync(join(shop, 'package.json'), '{}');
}, 300_000);

afterAll(() => rmSync(site, { recursive: true, force: true }));

it('has an entry that publint finds nothing wrong with', () => {
  run(shop, process.execPath, bin('publint/src/cli.js'), 'run', tarball, '--strict');
});

it('has types that fit what ESM and CommonJS get', () => {
  const attw = bin('@arethetypeswrong/cli/dist/index.js');
  // The resolution of Node 10 knows no exports; the package needs Node 20.
  const said = run(shop, process.execPath, attw, tarball, '--profile', 'node16', '--no-emoji');
  for (const found of ['"paidonce/client"', 'OK (CJS)', 'OK (ESM)']) expect(said).toContain(found);
});

const use = `
const client = createRetryingFetch({ maxAttempts: 1, fetch: () => Promise.reject(new Error('no')) });
client('http://127.0.0.1:1/', { method: 'POST' }).catch((error) => {
  if (!(error instanceof RetryError) || error.attempts !== 1) throw error;
  console.log('works', typeof retryingFetch);
});`;

it.each([
  [
    'ESM',
    'use.mjs',
    "import { createRetryingFetch, retryingFetch, RetryError } from 'paidonce/client';",
  ],
  [
    'CommonJS',
    'use.cjs',
    "const { createRetryingFetch, retryingFetch, RetryError } = require('paidonce/client');",
  ],
])('loads and works as %s', (_kind, file, load) => {
  writeFileSync(join(shop, file), load + use);
  expect(run(shop, process.execPath, file)).toBe('works function\n');
});

it('gives both to a program that loads both, and each knows the errors of the other', () => {
  const code = `
    import * as esm from 'paidonce/client';
    import { createRequire } from 'node:module';
    const cjs = createRequire(import.meta.url)('paidonce/client');
    const details = { reason: 'budget', attempts: 1, mayHaveExecuted: true, method: 'GET', url: '' };
    console.log(esm.RetryError !== cjs.RetryError, Object.keys(esm).join() === Object.keys(cjs).sort().join(),
      new esm.RetryError('', details) instanceof cjs.RetryError);`;
  writeFileSync(join(shop, 'both.mjs'), code);
  expect(run(shop, process.execPath, 'both.mjs')).toBe('true true true\n');
});

const typed = `
const options: RetryOptions = { deadlineMs: 1_000, budget: false, onRetry: ({ reason }) => void reason };
const retrying: typeof fetch = createRetryingFetch(options);
export const status: Promise<number> = retrying('https://example.com/', { method: 'POST' }).then((response) => {
  const gaveUp: boolean | undefined = callReport(response)?.gaveUp?.mayHaveExecuted;
  return gaveUp === true ? 0 : response.status;
}).catch((error: unknown) => error instanceof RetryError ? error.attempts : -1);
// @ts-expect-error misspelt
createRetryingFetch({ deadline: 1 });`;
const names =
  "{ callReport, createRetryingFetch, RetryError, type RetryOptions } from 'paidonce/client'";

it.each([
  ['ESM on Node', 'typed.mts', { module: 'nodenext', lib: ['es2022'], types: ['node'] }],
  ['CommonJS on Node', 'typed.cts', { module: 'nodenext', lib: ['es2022'], types: ['node'] }],
  [
    'a bundler for a browser',
    'typed.ts',
    { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'], types: [] },
  ],
])('is typed for %s', (_kind, file, settings) => {
  writeFileSync(join(shop, file), `import ${names};${typed}`);
  const compilerOptions = {
    ...settings,
    strict: true,
    noEmit: true,
    typeRoots: [bin('@types')],
    // The declarations of this package are checked as well.
    skipLibCheck: false,
  };
  const config = join(shop, `tsconfig.${file}.json`);
  writeFileSync(config, JSON.stringify({ compilerOptions, files: [file] }));
  run(shop, process.execPath, bin('typescript7/bin/tsc'), '-p', config);
});

it('needs nothing that only Node has: it is compiled with the types of the web alone', () => {
  run(
    ROOT,
    process.execPath,
    bin('typescript7/bin/tsc'),
    '-p',
    'tsconfig.client.json',
    '--noEmit',
    '--emitDeclarationOnly',
    'false',
  );
  const code = 'export const port = process.env.PORT;';
  const planted = join(site, 'project', 'src', 'client', 'planted.ts');
  writeFileSync(planted, code);
  const config = join(site, 'project', 'tsconfig.client.json');
  const check = () =>
    run(
      join(site, 'project'),
      process.execPath,
      bin('typescript7/bin/tsc'),
      '-p',
      config,
      '--noEmit',
      '--emitDeclarationOnly',
      'false',
    );
  expect(check).toThrow("Cannot find name 'process'");
});
