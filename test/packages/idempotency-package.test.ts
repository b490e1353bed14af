/** The package of the decorator, as those who install it find it. What it does there: `npm run test:packages`. */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cutPackage, externalImports, PACKAGES, readManifest, run, undeclaredImports } from './cut';
import { optionsIn, rowsIn } from './option-table';

const ROOT = join(__dirname, '..', '..');
const NODE_MODULES = join(ROOT, 'node_modules');
const bin = (path: string) => join(NODE_MODULES, path);

let site: string;
let tarball: string;
let shop: string;
let installed: string;

beforeAll(() => {
  site = mkdtempSync(join(tmpdir(), 'paidonce-package-'));
  tarball = cutPackage('idempotency', site);
  shop = join(site, 'shop');
  installed = join(shop, 'node_modules', '@paidonce', 'idempotency');
  mkdirSync(installed, { recursive: true });
  run(site, 'tar', '-xzf', tarball, '-C', installed, '--strip-components', '1');
  for (const name of ['@nestjs', '@types', 'pg', 'reflect-metadata', 'rxjs', 'typeorm']) {
    symlinkSync(bin(name), join(shop, 'node_modules', name));
  }
  writeFileSync(join(shop, 'package.json'), '{}');
}, 300_000);

afterAll(() => rmSync(site, { recursive: true, force: true }));

it('is one package of less than half a megabyte, with README, types, changelog and licence', () => {
  expect(readdirSync(installed).toSorted()).toEqual(
    ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'package.json'].toSorted(),
  );
  expect(readManifest(installed).dependencies).toBeUndefined();
  expect(parseInt(run(shop, 'du', '-sk', installed), 10)).toBeLessThanOrEqual(500);
});

it('has an entry that publint finds nothing wrong with', () => {
  run(shop, process.execPath, bin('publint/src/cli.js'), 'run', tarball, '--strict');
});

it('has types that fit what ESM and CommonJS get', () => {
  const attw = bin('@arethetypeswrong/cli/dist/index.js');
  const said = run(shop, process.execPath, attw, tarball, '--no-emoji', '--profile', 'node16');
  expect(said).toContain('No problems found');
});

it('names Nest, TypeORM and Node in its types, and not pg or ioredis', () => {
  expect([...externalImports(installed).types].toSorted()).toEqual([
    '@nestjs/common',
    '@nestjs/core',
    'reflect-metadata',
    'typeorm',
  ]);
});

it('has declarations that every strict setting of the compiler passes', () => {
  for (const name of ['first-replay', 'shop']) {
    cpSync(join(__dirname, name), join(shop, name), { recursive: true });
  }
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    skipLibCheck: false,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    noEmit: true,
  };
  writeFileSync(
    join(shop, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['first-replay', 'shop'] }),
  );
  const tsc = bin('typescript7/bin/tsc');
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', shop, '--pretty', 'false'], {
    cwd: shop,
    encoding: 'utf8',
  });
  // What other packages' declarations have wrong with them is theirs.
  const own = stdout
    .split('\n')
    .filter((line) => /^(first-replay|shop|node_modules\/@paidonce)/.test(line));
  expect(own).toEqual([]);
  expect(stdout).not.toContain('error TS2307'); // nothing was left unchecked
});

describe('its package.json', () => {
  it('declares what the code imports, and nothing else', () => {
    expect(undeclaredImports(installed)).toEqual([]);
  });

  it('is caught when it does not', () => {
    const copy = join(site, 'copy');
    cpSync(installed, copy, { recursive: true });
    appendFileSync(join(copy, 'dist', 'index.js'), "require('lru-cache/min');\n");
    appendFileSync(join(copy, 'dist', 'index.d.ts'), "export type R = import('ioredis').Redis;\n");
    const manifest = readManifest(copy);
    const peerDependencies = { ...manifest.peerDependencies, fastify: '*' };
    writeFileSync(join(copy, 'package.json'), JSON.stringify({ ...manifest, peerDependencies }));
    expect(undeclaredImports(copy)).toEqual([
      'imports lru-cache undeclared',
      'declares fastify and does not import it',
      'has ioredis, which is optional, in its types',
    ]);
  });

  it('has the version of the project, as that of the client', () => {
    const { version } = readManifest(ROOT);
    for (const name of PACKAGES) {
      expect(readManifest(join(ROOT, 'src', name)).version).toBe(version);
    }
  });
});

const names =
  "'IdempotencyModule Idempotent Phases IdempotencyKeyReusedError idempotencyMigrations'";

it.each([
  ['CommonJS', 'use.cjs', "const all = require('@paidonce/idempotency');"],
  ['ESM', 'use.mjs', "import * as all from '@paidonce/idempotency';"],
])('loads as %s, without ioredis, and before Nest', (_kind, file, load) => {
  const use = `${load}\nconsole.log(${names}.split(' ').filter((name) => !(name in all)).join());`;
  writeFileSync(join(shop, file), use);
  expect(run(shop, process.execPath, file)).toBe('\n');
});

/** Starts an application as far as its modules, without a database; what it printed. */
function start(main: string): string {
  writeFileSync(
    join(shop, 'start.cjs'),
    `const { IdempotencyModule } = require('@paidonce/idempotency');
    const { Global, Module } = require('@nestjs/common');
    const { NestFactory } = require('@nestjs/core');
    const { DataSource } = require('typeorm');
    class DatabaseModule {}
    const dataSource = new DataSource({ type: 'postgres' });
    Module({ providers: [{ provide: DataSource, useValue: dataSource }], exports: [DataSource] })(DatabaseModule);
    Global()(DatabaseModule);
    const start = (options = {}) => {
      class AppModule {}
      Module({ imports: [DatabaseModule, IdempotencyModule.forRoot({ scope: () => 'a', ...options })] })(AppModule);
      return NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false })
        .then(() => console.log('started'), (error) => console.log(error.message));
    };
    ${main}`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, ['start.cjs'], {
    cwd: shop,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return stdout + stderr;
}

it('starts, and ends by itself when nothing is left to do', () => {
  expect(start('start();')).toBe('started\n');
});

it('says at the start that a second copy of it is loaded, and from where', () => {
  const second = join(shop, 'node_modules', 'other', 'node_modules', '@paidonce', 'idempotency');
  cpSync(installed, second, { recursive: true });
  const said = start(`require(${JSON.stringify(join(second, 'dist', 'index.js'))}); start();`);
  rmSync(second, { recursive: true });
  expect(said).toContain('@paidonce/idempotency is loaded more than once, from ');
  expect(said).toContain(join(second, 'dist'));
});

it('says at the start that a Redis needs ioredis, where that is not installed', () => {
  expect(start("start({ replayRedisUrl: 'redis://127.0.0.1:1' });")).toBe(
    'IdempotencyModule: replayRedisUrl needs the package ioredis: npm install ioredis.\n',
  );
});

it('has the conformance kit as a program, which the module does not load', () => {
  const { bin: programs } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
    bin: Record<string, string>;
  };
  const program = join(installed, programs['paidonce-check'] ?? 'missing');
  expect(readFileSync(program, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  expect(run(shop, process.execPath, program, '--help')).toContain(
    '--profile draft|paidonce|stripe',
  );
  expect(readFileSync(join(installed, 'dist', 'index.js'), 'utf8')).not.toContain('first-request');
});

describe('its README', () => {
  const readme = readFileSync(join(ROOT, 'src', 'idempotency', 'README.md'), 'utf8');

  it('begins with the line that installs it, which names all that an application needs', () => {
    expect(readme.split('\n').slice(2, 5)).toEqual([
      '```sh',
      'npm i @paidonce/idempotency @nestjs/typeorm typeorm pg',
      '```',
    ]);
  });

  it('shows the files that test:packages runs, word for word', () => {
    const shown = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code);
    const files = ['app.module.ts', 'orders.controller.ts', 'parcels.controller.ts'];
    expect(shown).toEqual(
      files.map((file) => readFileSync(join(__dirname, 'first-replay', file), 'utf8')),
    );
  });

  it.each([
    ['Options of the module', 'IdempotencyOptions'],
    ['Options of an endpoint', 'IdempotentOptions'],
  ])('has every one of the %s in its table, with its bounds and default', (heading, type) => {
    const file = join(ROOT, 'src', 'idempotency', 'contract', 'idempotency.options.ts');
    const options = optionsIn(readFileSync(file, 'utf8'), type);
    const rows = rowsIn(readme, heading);
    expect(options.length).toBeGreaterThan(3);
    expect(rows.map(({ name }) => name)).toEqual(options.map(({ name }) => name));
    for (const [at, { name, numbers }] of options.entries()) {
      const missing = numbers.filter((number) => !rows[at]?.text.includes(number));
      expect([name, missing]).toEqual([name, []]);
    }
  });
});
