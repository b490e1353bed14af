/** Finds names that stand for different things in two files. */
import { posix } from 'node:path';
import ts from 'typescript';
import type { Finding, SourceFile } from './finding';

/** A package's folder; the last one is the rest of src. */
const PACKAGES = [/^src\/idempotency\//, /^src\/client\//, /^src\//];

interface Declaration {
  readonly name: string;
  readonly path: string;
  readonly line: number;
  readonly isExported?: boolean;
}

type ByName = ReadonlyMap<string, readonly Declaration[]>;

interface Names {
  /** What modules declare, by package and name. */
  readonly declared: ByName;
  /** What packages offer in an index.ts, by name. */
  readonly offered: ByName;
}

const namesOfFiles = new WeakMap<readonly SourceFile[], Names>();

/**
 * The names of a file that another file of its package declares too, and, in an index.ts, the names that an
 * index.ts of another package offers too. A name that is imported, or picked out of an import, stands for the
 * same thing in both files; so do a type and a value of one name in one file.
 */
export function repeatedNames(file: SourceFile, files: readonly SourceFile[]): Finding[] {
  const { declared, offered } = namesOf(files);
  return [
    ...declarationsOf(file).flatMap((one) =>
      findings(one, declared.get(keyOf(one)), ({ path }) => path !== file.path),
    ),
    ...offersOf(file, files).flatMap((one) =>
      findings(one, offered.get(one.name), ({ path }) => packageOf(path) !== packageOf(file.path)),
    ),
  ];
}

function findings(
  { name, line }: Declaration,
  all: readonly Declaration[] = [],
  isAnother: (other: Declaration) => boolean,
): Finding[] {
  const other = all.find(isAnother);
  if (!other) return [];
  const where = `${other.path}:${other.line}`;
  return [{ line, advice: `${name} is another thing in ${where}: rename one, or import it` }];
}

function namesOf(files: readonly SourceFile[]): Names {
  let names = namesOfFiles.get(files);
  if (!names) {
    names = {
      declared: grouped(files.flatMap(declarationsOf), keyOf),
      offered: grouped(
        files.flatMap((file) => offersOf(file, files)),
        ({ name }) => name,
      ),
    };
    namesOfFiles.set(files, names);
  }
  return names;
}

function grouped(all: readonly Declaration[], key: (one: Declaration) => string): ByName {
  const groups = new Map<string, Declaration[]>();
  for (const one of all) groups.set(key(one), [...(groups.get(key(one)) ?? []), one]);
  return groups;
}

function packageOf(path: string): number {
  return PACKAGES.findIndex((paths) => paths.test(path));
}

function keyOf({ name, path }: Declaration): string {
  return `${packageOf(path)} ${name}`;
}

function declarationsOf({ path, text }: SourceFile): Declaration[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found = source.statements.flatMap((statement) => {
    const isExported = ts.canHaveModifiers(statement) && statement.modifiers?.some(isExport);
    return namesIn(statement).map((name) => ({ ...at(source, name), isExported }));
  });
  return [...new Map(found.map((one) => [one.name, one])).values()];
}

function namesIn(statement: ts.Statement): ts.Node[] {
  if (ts.isVariableStatement(statement)) {
    const names = statement.declarationList.declarations.map(({ name }) => name);
    return names.filter((name) => ts.isIdentifier(name));
  }
  return isNamed(statement) && statement.name ? [statement.name] : [];
}

function isExport({ kind }: ts.ModifierLike): boolean {
  return kind === ts.SyntaxKind.ExportKeyword;
}

/** What an index.ts offers of its own package. */
function offersOf({ path, text }: SourceFile, files: readonly SourceFile[]): Declaration[] {
  if (!path.endsWith('/index.ts')) return [];
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  return source.statements.flatMap((statement) => {
    if (!ts.isExportDeclaration(statement) || !statement.moduleSpecifier) return [];
    const { text: from } = statement.moduleSpecifier as ts.StringLiteral;
    const origin = posix.join(posix.dirname(path), from);
    if (packageOf(`${origin}/`) !== packageOf(path)) return [];
    const { exportClause } = statement;
    if (!exportClause) {
      const { line } = at(source, statement);
      const all = files.filter((file) => file.path === `${origin}.ts`).flatMap(declarationsOf);
      return all.filter(({ isExported }) => isExported).map((one) => ({ ...one, path, line }));
    }
    if (!ts.isNamedExports(exportClause)) return [];
    return exportClause.elements.map(({ name }) => at(source, name));
  });
}

function at(source: ts.SourceFile, node: ts.Node): Declaration {
  const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  return { name: node.getText(), path: source.fileName, line };
}

function isNamed(
  node: ts.Statement,
): node is
  | ts.FunctionDeclaration
  | ts.ClassDeclaration
  | ts.InterfaceDeclaration
  | ts.TypeAliasDeclaration
  | ts.EnumDeclaration {
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isEnumDeclaration(node)
  );
}
