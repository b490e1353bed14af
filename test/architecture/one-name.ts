/** Finds names that stand for different things in two files. */
import ts from 'typescript';
import type { Finding, SourceFile } from './finding';

/** A package's folder; the last one is the rest of src. */
const PACKAGES = [/^src\/idempotency\//, /^src\/client\//, /^src\//];

interface Declaration {
  readonly name: string;
  readonly path: string;
  readonly line: number;
}

/** What modules declare, by package and name. */
type ByName = ReadonlyMap<string, readonly Declaration[]>;

const namesOfFiles = new WeakMap<readonly SourceFile[], ByName>();

/**
 * The names of a file that another file of its package declares too. A name that is imported, or picked out
 * of an import, stands for the same thing in both files; so do a type and a value of one name in one file.
 */
export function repeatedNames(file: SourceFile, files: readonly SourceFile[]): Finding[] {
  const declared = declaredIn(files);
  return declarationsOf(file).flatMap((one) => {
    const other = declared.get(keyOf(one))?.find(({ path }) => path !== file.path);
    if (!other) return [];
    const where = `${other.path}:${other.line}`;
    const advice = `${one.name} is another thing in ${where}: rename one, or import it`;
    return [{ line: one.line, advice }];
  });
}

function declaredIn(files: readonly SourceFile[]): ByName {
  let declared = namesOfFiles.get(files);
  if (!declared) {
    declared = grouped(files.flatMap(declarationsOf));
    namesOfFiles.set(files, declared);
  }
  return declared;
}

function grouped(all: readonly Declaration[]): ByName {
  const groups = new Map<string, Declaration[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
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
  const found = source.statements.flatMap((statement) =>
    namesIn(statement).map((name) => at(source, name)),
  );
  return [...new Map(found.map((one) => [one.name, one])).values()];
}

function namesIn(statement: ts.Statement): ts.Node[] {
  if (ts.isVariableStatement(statement)) {
    const names = statement.declarationList.declarations.map(({ name }) => name);
    return names.filter((name) => ts.isIdentifier(name));
  }
  return isNamed(statement) && statement.name ? [statement.name] : [];
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
