/** Cuts the two packages from this repository: compiled, with their types, and packed as they are published. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

const ROOT = join(__dirname, '..', '..');

/** The folders of src that are packages, beside whose source package.json and README.md stand. */
export const PACKAGES = ['idempotency', 'client'] as const;
export type PackageName = (typeof PACKAGES)[number];

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export const readManifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;

/**
 * Makes one package as a tarball.
 *
 * @param into an existing folder
 * @param root the project: another one than this in tests
 * @returns the tarball's path
 * @throws Error when it does not compile, or imports what it does not declare
 */
export function cutPackage(name: PackageName, into: string, root = ROOT): string {
  const stage = mkdtempSync(join(tmpdir(), `paidonce-${name}-`));
  try {
    const dist = join(stage, 'dist');
    mkdirSync(dist);
    if (name === 'client') compileClient(root, dist);
    else compileIdempotency(root, dist);
    addTypes(name, root, dist);
    for (const file of ['package.json', 'README.md']) {
      cpSync(join(root, 'src', name, file), join(stage, file));
    }
    for (const file of ['CHANGELOG.md', 'LICENSE']) cpSync(join(root, file), join(stage, file));
    const wrong = undeclaredImports(stage);
    if (wrong.length > 0) throw new Error(`@paidonce/${name}: ${wrong.join('; ')}`);
    const packed = run(stage, 'npm', 'pack', '--json', '--pack-destination', into);
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    return join(into, filename);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/**
 * One file of CommonJS, which Nest 12's ES modules take as well, and one of the program. One file, because each takes up a block on the
 * disk; swc compiles, because esbuild knows no decorator metadata.
 */
function compileIdempotency(root: string, dist: string): void {
  const compiled = mkdtempSync(join(tmpdir(), 'paidonce-compiled-'));
  const swc = join(ROOT, 'node_modules', '@swc', 'cli', 'bin', 'swc.js');
  const flags = ['--out-dir', compiled, '--quiet', '--source-maps', 'false'];
  const config = ['--config-file', join(root, '.swcrc'), '--config', 'module.type=es6'];
  try {
    const source = join(root, 'src', 'idempotency');
    run(source, process.execPath, swc, '.', ...flags, ...config);
    const format = ['--platform=node', '--format=cjs'];
    bundle(join(compiled, 'index.js'), format, join(dist, 'index.js'));
    const command = join(compiled, 'conformance', 'conformance-command.js');
    bundle(command, [...format, '--banner:js=#!/usr/bin/env node'], join(dist, 'check.js'));
  } finally {
    rmSync(compiled, { recursive: true, force: true });
  }
}

/** An ES module and a CommonJS module, each one file. */
function compileClient(root: string, dist: string): void {
  const entry = join(root, 'src', 'client', 'index.ts');
  bundle(entry, ['--format=esm'], join(dist, 'index.mjs'));
  bundle(entry, ['--format=cjs'], join(dist, 'index.js'));
  cpSync(join(root, 'src', 'client', 'index.d.mts'), join(dist, 'index.d.mts'));
}

function bundle(entry: string, format: readonly string[], outfile: string): void {
  const esbuild = join(ROOT, 'node_modules', 'esbuild', 'bin', 'esbuild');
  const flags = ['--bundle', '--packages=external', '--target=es2022', '--log-level=warning'];
  run(dirname(entry), esbuild, entry, ...flags, ...format, `--outfile=${outfile}`);
}

/** The declarations of what is exported, and of what these name; no other. */
function addTypes(name: PackageName, root: string, dist: string): void {
  const types = mkdtempSync(join(tmpdir(), `paidonce-${name}-types-`));
  const tsc = join(ROOT, 'node_modules', 'typescript7', 'bin', 'tsc');
  const config = join(root, `tsconfig.${name}.json`);
  try {
    run(root, process.execPath, tsc, '-p', config, '--outDir', types);
    for (const file of reachable(join(types, 'index.d.ts'))) {
      const target = join(dist, relative(types, file));
      mkdirSync(dirname(target), { recursive: true });
      cpSync(file, target);
    }
  } finally {
    rmSync(types, { recursive: true, force: true });
  }
}

/** A declaration file and all of its package that it leads to. */
function reachable(entry: string, known = new Set<string>()): ReadonlySet<string> {
  if (known.has(entry)) return known;
  known.add(entry);
  for (const name of importsOf(entry).filter((each) => each.startsWith('.'))) {
    reachable(join(dirname(entry), `${name.replace(/\.js$/, '')}.d.ts`), known);
  }
  return known;
}

/** What a file names in imports, exports, types, `import()` and `require()`. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const named = moduleOf(node);
    if (named && ts.isStringLiteral(named)) found.push(named.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true));
  return found;
}

function moduleOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
    return node.argument.literal;
  if (!ts.isCallExpression(node)) return undefined;
  const { expression } = node;
  const isImport = expression.kind === ts.SyntaxKind.ImportKeyword;
  const isRequire = ts.isIdentifier(expression) && expression.text === 'require';
  return isImport || isRequire ? node.arguments[0] : undefined;
}

/** What the compiled files of a package import from outside, as packages. */
export interface ExternalImports {
  readonly code: ReadonlySet<string>;
  readonly types: ReadonlySet<string>;
}

/** @param folder an unpacked package */
export function externalImports(folder: string): ExternalImports {
  const code = new Set<string>();
  const types = new Set<string>();
  const dist = join(folder, 'dist');
  for (const path of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!/\.m?[jt]s$/.test(path)) continue;
    const found = path.includes('.d.') ? types : code;
    for (const name of importsOf(join(dist, path))) {
      if (name.startsWith('.') || name.startsWith('node:')) continue;
      found.add(/^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name);
    }
  }
  return { code, types };
}

/** Where the imports of a package differ from what its package.json declares, as sentences. */
export function undeclaredImports(folder: string): string[] {
  const { dependencies = {}, peerDependencies = {} } = readManifest(folder);
  const declared = new Set(Object.keys({ ...dependencies, ...peerDependencies }));
  const { code, types } = externalImports(folder);
  const optional = Object.keys(readManifest(folder).peerDependenciesMeta ?? {});
  return [
    ...[...new Set([...code, ...types])]
      .filter((name) => !declared.has(name))
      .map((name) => `imports ${name} undeclared`),
    ...[...declared]
      .filter((name) => !code.has(name) && !types.has(name))
      .map((name) => `declares ${name} and does not import it`),
    ...optional
      .filter((name) => types.has(name))
      .map((name) => `has ${name}, which is optional, in its types`),
  ];
}

/** Runs a program to its end; its output, or an error with all it said. */
export function run(cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')}:\n${error?.message ?? ''}${stdout}\n${stderr}`);
}
