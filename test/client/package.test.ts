/** The package of the client, as those who install it find it: without the server. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cutPackage, run } from '../packages/cut';
import { optionsIn, rowsIn } from '../packages/option-table';

const ROOT = join(__dirname, '..', '..');
const NODE_MODULES = join(ROOT, 'node_modules');
const bin = (path: string) => join(NODE_MODULES, path);

let site: string;
let tarball: string;
let shop: string;

beforeAll(() => {
  site = mkdtempSync(join(tmpdir(), 'paidonce-package-'));
  tarball = cutPackage('client', site);
  shop = join(site, 'shop');
  const installed = join(shop, 'node_modules', '@paidonce', 'client');
  mkdirSync(installed, { recursive: true });
  run(site, 'tar', '-xzf', tarball, '-C', installed, '--strip-components', '1');
  for (const name of ['openapi-fetch', 'openapi-typescript-helpers']) {
    symlinkSync(bin(name), join(shop, 'node_modules', name));
  }
  writeFileSync(join(shop, 'package.json'), '{}');
}, 300_000);

afterAll(() => rmSync(site, { recursive: true, force: true }));

it('takes less than a megabyte on the disk, with all that it brings', () => {
  const parts = ['@paidonce/client', 'openapi-fetch', 'openapi-typescript-helpers'];
  const folders = parts.map((name) => realpathSync(join(shop, 'node_modules', name)));
  const sizes = run(shop, 'du', '-sk', ...folders)
    .trim()
    .split('\n')
    .map((line) => parseInt(line, 10));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(1_000);
});

it('has a README whose table names every option', () => {
  const readme = readFileSync(join(ROOT, 'src', 'client', 'README.md'), 'utf8');
  const source = readFileSync(join(ROOT, 'src', 'client', 'retry.options.ts'), 'utf8');
  const options = optionsIn(source, 'RetryOptions');
  expect(options.length).toBeGreaterThan(8);
  expect(rowsIn(readme, 'Options').map(({ name }) => name)).toEqual(
    options.map(({ name }) => name),
  );
  for (const { name, numbers } of options) {
    const row = rowsIn(readme, 'Options').find((each) => each.name === name);
    expect([name, numbers.filter((number) => !row?.text.includes(number))]).toEqual([name, []]);
  }
});

it('has an entry that publint finds nothing wrong with', () => {
  run(shop, process.execPath, bin('publint/src/cli.js'), 'run', tarball, '--strict');
});

it('has types that fit what ESM and CommonJS get', () => {
  const attw = bin('@arethetypeswrong/cli/dist/index.js');
  // The resolution of Node 10 knows no exports; the package needs Node 20.
  const said = run(shop, process.execPath, attw, tarball, '--profile', 'node16', '--no-emoji');
  for (const found of ['"@paidonce/client"', 'OK (CJS)', 'OK (ESM)']) expect(said).toContain(found);
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
    "import { createRetryingFetch, retryingFetch, RetryError } from '@paidonce/client';",
  ],
  [
    'CommonJS',
    'use.cjs',
    "const { createRetryingFetch, retryingFetch, RetryError } = require('@paidonce/client');",
  ],
])('loads and works as %s', (_kind, file, load) => {
  writeFileSync(join(shop, file), load + use);
  expect(run(shop, process.execPath, file)).toBe('works function\n');
});

it('gives both to a program that loads both, and each knows the errors of the other', () => {
  const code = `
    import * as esm from '@paidonce/client';
    import { createRequire } from 'node:module';
    const cjs = createRequire(import.meta.url)('@paidonce/client');
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
  "{ callReport, createRetryingFetch, RetryError, type RetryOptions } from '@paidonce/client'";

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
    exactOptionalPropertyTypes: true,
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
  const project = join(site, 'project');
  cpSync(join(ROOT, 'src', 'client'), join(project, 'src', 'client'), { recursive: true });
  cpSync(join(ROOT, 'tsconfig.client.json'), join(project, 'tsconfig.client.json'));
  symlinkSync(NODE_MODULES, join(project, 'node_modules'));
  const planted = join(project, 'src', 'client', 'planted.ts');
  writeFileSync(planted, 'export const port = process.env.PORT;');
  const config = join(project, 'tsconfig.client.json');
  const check = () =>
    run(
      project,
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
