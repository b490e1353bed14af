/** The rules of ARCHITECTURE.md and CONTRIBUTING.md that imports do not show. */
import ts from 'typescript';

export interface SourceFile {
  /** From the project's directory, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

interface Rule {
  readonly name: string;
  /** The files it holds in. */
  readonly in: RegExp;
  readonly except?: RegExp;
  /** Line numbers, from 1, that break it. */
  readonly check: (file: SourceFile) => number[];
}

const MAX_FUNCTION_LINES = 70;

/** How a statement, or the fragment that names the database's clock, begins; small letters too. */
const SQL = [
  /^\s*(SELECT|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|TRUNCATE|SHOW|SET LOCAL)\b/,
  /^\s*select\b[^]*\bfrom\b/,
  /^\s*(insert\s+into|update\s+\S+\s+set|delete\s+from|with\s+\S+\s+as\s*\()\b/i,
  /^\s*(create|drop|alter)\s+(table|index|schema|database|type)\b/i,
  /\b(now|clock_timestamp)\(\)/i,
];

export const rules: readonly Rule[] = [
  {
    name: 'sql-in-stores',
    in: /^src\//,
    except:
      /\.(store|repository|migration)\.ts$|^src\/(database|embedded-postgres)\/|^src\/idempotency\/store\/postgres\/transaction\.ts$/,
    check: (file) => strings(file, (text) => SQL.some((pattern) => pattern.test(text))),
  },
  {
    name: 'database-decides-the-time',
    in: /^src\/idempotency\//,
    check: (file) => lines(file, /\bDate\.now\(|\bnew Date\(\)/),
  },
  {
    name: 'settings-in-one-place',
    in: /^src\//,
    except: /^src\/runtime\/settings\.ts$/,
    check: (file) =>
      lines(file, /\bprocess\.env\b|\bprocess\[['"]env['"]\]|\{[^}]*\benv\b[^}]*\} = process\b/),
  },
  {
    name: 'function-length',
    in: /^src\//,
    check: longFunctions,
  },
  {
    name: 'role-in-the-name',
    in: /^(src|test|bench)\//,
    check: ({ path }) => (/(^|[/.-])(utils?|helpers?|common|misc)([/.-]|$)/.test(path) ? [1] : []),
  },
  {
    name: 'nothing-left-to-do',
    in: /^(src|test|bench)\//,
    except: /^test\/architecture\//,
    check: (file) => lines(file, /\b(TODO|FIXME|XXX)\b/),
  },
];

/** What breaks a rule, as `rule path:line`. */
export function untidy(files: readonly SourceFile[]): string[] {
  return rules.flatMap((rule) =>
    files
      .filter(({ path }) => rule.in.test(path) && rule.except?.test(path) !== true)
      .flatMap((file) => rule.check(file).map((line) => `${rule.name} ${file.path}:${line}`)),
  );
}

function lines({ text }: SourceFile, pattern: RegExp): number[] {
  return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [index + 1] : []));
}

function strings(file: SourceFile, matches: (text: string) => boolean): number[] {
  const found: number[] = [];
  walk(file, (node, line) => {
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node);
    if (isText && matches(node.text)) found.push(line(node.getStart()));
  });
  return found;
}

function longFunctions(file: SourceFile): number[] {
  const found: number[] = [];
  walk(file, (node, line) => {
    if (!ts.isFunctionLike(node)) return;
    const start = line(node.getStart());
    if (line(node.getEnd()) - start >= MAX_FUNCTION_LINES) found.push(start);
  });
  return found;
}

function walk(
  { path, text }: SourceFile,
  visit: (node: ts.Node, line: (position: number) => number) => void,
): void {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const line = (position: number) => source.getLineAndCharacterOfPosition(position).line + 1;
  const each = (node: ts.Node): void => {
    visit(node, line);
    ts.forEachChild(node, each);
  };
  each(source);
}
