/** The rules of ARCHITECTURE.md and CONTRIBUTING.md that imports do not show. */
import ts from 'typescript';
import type { Finding, SourceFile } from './finding';
import { repeatedNames } from './one-name';
import { vagueNames } from './words';

interface Rule {
  readonly name: string;
  /** The files it holds in. */
  readonly in: RegExp;
  readonly except?: RegExp;
  /** What to do about a violation. */
  readonly advice: string;
  /** @param files all that the rule holds in, for a rule about names that files share */
  readonly check: (file: SourceFile, files: readonly SourceFile[]) => readonly Finding[];
}

const MAX_FUNCTION_LINES = 70;
const MAX_ARGUMENTS = 4;

/** How a statement, or the fragment that names the database's clock, begins; small letters too. */
const SQL = [
  /^\s*(SELECT|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|TRUNCATE|SHOW|SET LOCAL)\b/,
  /^\s*select\b[^]*\bfrom\b/,
  /^\s*(insert\s+into|update\s+\S+\s+set|delete\s+from|with\s+\S+\s+as\s*\()\b/i,
  /^\s*(create|drop|alter)\s+(table|index|schema|database|type)\b/i,
  /\b(now|clock_timestamp)\(\)/i,
];

/** What a dot in a file's name may announce. Everything else in a name is joined by hyphens. */
const ROLES = new Set(
  [
    // Nest's and TypeORM's
    'module controller service guard filter pipe interceptor decorator processor',
    'entity repository migration',
    // ours
    'provider store gateway job timer routes options errors wire params param states types',
    // of tests
    'test browser fixture scenario attack',
  ].flatMap((line) => line.split(' ')),
);

const CODE = /^(src|test|bench)\//;

export const rules: readonly Rule[] = [
  {
    name: 'sql-in-stores',
    in: /^src\//,
    except:
      /\.(store|repository|migration)\.ts$|^src\/(database|embedded-postgres)\/|^src\/idempotency\/store\/postgres\//,
    advice: 'SQL stands in stores, repositories and migrations',
    check: (file) => strings(file, (text) => SQL.some((pattern) => pattern.test(text))),
  },
  {
    name: 'database-decides-the-time',
    in: /^src\/idempotency\//,
    advice: "use the database's clock, or performance.now() for a duration",
    check: (file) => lines(file, /\bDate\.now\(|\bnew Date\(\)/),
  },
  {
    name: 'settings-in-one-place',
    in: /^src\//,
    except: /^src\/runtime\/settings\.ts$/,
    advice: 'read the environment in src/runtime/settings.ts',
    check: (file) =>
      lines(file, /\bprocess\.env\b|\bprocess\[['"]env['"]\]|\{[^}]*\benv\b[^}]*\} = process\b/),
  },
  {
    name: 'ambient-is-listed',
    in: /^src\//,
    except:
      /^src\/(idempotency\/store\/postgres\/ambient-transaction|idempotency\/contract\/handler-context|accounts\/principal)\.ts$/,
    advice:
      'hand the value over, or put it on the request; ARCHITECTURE.md lists the three that are ambient',
    check: (file) => lines(file, /\bnew AsyncLocalStorage\b|\bextends AsyncLocalStorage\b/),
  },
  {
    name: 'function-length',
    in: /^src\//,
    advice: `split it: a function has at most ${MAX_FUNCTION_LINES} lines`,
    check: longFunctions,
  },
  {
    name: 'few-arguments',
    in: CODE,
    advice: `at most ${MAX_ARGUMENTS} arguments: put those that can be mixed up into an object`,
    check: longSignatures,
  },
  {
    name: 'tokens-are-classes',
    in: /^src\//,
    advice:
      'inject a class, abstract for a port; a symbol stands for plain options alone: NAMED_SO',
    check: (file) => lines(file, /^export const (?![A-Z_]+ )\w+ = Symbol\(/),
  },
  {
    name: 'enhancers-by-provider',
    in: /^src\//,
    advice: 'provide it as APP_PIPE, APP_FILTER, APP_GUARD or APP_INTERCEPTOR',
    check: (file) => lines(file, /\.useGlobal(Pipes|Filters|Guards|Interceptors)\(/),
  },
  {
    name: 'private-by-keyword',
    in: /^src\//,
    advice:
      'write `private name` instead of `#name`: parameters of a constructor allow nothing else',
    check: (file) => nodes(file, (node) => ts.isPrivateIdentifier(node) && isMember(node.parent)),
  },
  {
    name: 'first-sentence',
    in: CODE,
    // Generated; printed word for word in a guide.
    except:
      /^src\/client\/openapi\.types\.ts$|^test\/guides\/[\w-]+\/(?!shop\.ts$)|^test\/packages\/first-replay\//,
    advice: 'begin the file with /** and a sentence that says what it is for',
    check: ({ text }) => (beginsWithSentence(text) ? [] : [{ line: 1 }]),
  },
  {
    name: 'role-in-the-name',
    in: CODE,
    advice: 'name the file for what it does',
    check: ({ path }) =>
      /(^|[/.-])(utils?|helpers?|common|misc)([/.-]|$)/.test(path) ? [{ line: 1 }] : [],
  },
  {
    name: 'dots-separate-roles',
    in: CODE,
    advice: `a dot stands before a role (${[...ROLES].join(', ')}), a hyphen between words`,
    check: ({ path }) => (hasRolesBehindDots(path) ? [] : [{ line: 1 }]),
  },
  {
    name: 'one-name-one-thing',
    in: /^src\//,
    // Generated.
    except: /^src\/client\/openapi\.types\.ts$/,
    advice: 'two files of a package declare this name: rename one, or import it',
    check: repeatedNames,
  },
  {
    name: 'no-vague-names',
    in: CODE,
    // Generated; the entry in Redis, whose fields are a format.
    except: /^src\/client\/openapi\.types\.ts$|^src\/idempotency\/replays\/replay-cache\.ts$/,
    advice: 'say it with a word of PROTOCOL.md',
    check: vagueNames,
  },
  {
    name: 'nothing-left-to-do',
    in: CODE,
    except: /^test\/architecture\//,
    advice: 'do it, or open an issue',
    check: (file) => lines(file, /\b(TODO|FIXME|XXX)\b/),
  },
];

/** What breaks a rule, as `rule path:line – what to do`. */
export function untidy(files: readonly SourceFile[]): string[] {
  return rules.flatMap((rule) => {
    const checked = files.filter(
      ({ path }) => rule.in.test(path) && rule.except?.test(path) !== true,
    );
    return checked.flatMap((file) =>
      rule
        .check(file, checked)
        .map(({ line, advice = rule.advice }) => `${rule.name} ${file.path}:${line} – ${advice}`),
    );
  });
}

function lines({ text }: SourceFile, pattern: RegExp): Finding[] {
  return text
    .split('\n')
    .flatMap((line, index) => (pattern.test(line) ? [{ line: index + 1 }] : []));
}

function strings(file: SourceFile, matches: (text: string) => boolean): Finding[] {
  return nodes(file, (node) => {
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node);
    return isText && matches(node.text);
  });
}

function longFunctions(file: SourceFile): Finding[] {
  return nodes(
    file,
    (node, linesOf) => ts.isFunctionLike(node) && linesOf(node) > MAX_FUNCTION_LINES,
  );
}

/**
 * Functions with too many parameters. The author of a signature can shorten it; these have another author:
 * Nest injects the parameters of a decorated class's constructor and fills in decorated parameters, the base
 * class decides what an override takes, and the caller of a callback what the callback takes.
 */
function longSignatures(file: SourceFile): Finding[] {
  return nodes(file, (node) => {
    if (!ts.isFunctionLike(node) || node.parameters.length <= MAX_ARGUMENTS) return false;
    const isInjected = ts.isConstructorDeclaration(node) && ts.getDecorators(node.parent);
    const isOverride =
      ts.isMethodDeclaration(node) &&
      node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword);
    const isCallback =
      (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) &&
      ts.isCallExpression(node.parent);
    const isFilledIn = node.parameters.every((parameter) => ts.getDecorators(parameter));
    return !isInjected && !isOverride && !isCallback && !isFilledIn;
  });
}

function isMember(node: ts.Node): boolean {
  return ts.isPropertyDeclaration(node) || ts.isMethodDeclaration(node) || ts.isAccessor(node);
}

/** Whether the text begins with a doc comment whose first sentence has at least three words and a period. */
function beginsWithSentence(text: string): boolean {
  const comment = /^\/\*\*(.*?)\*\//s.exec(text)?.[1] ?? '';
  const [paragraph = ''] = comment
    .replaceAll(/^[ \t]*\*[ \t]?/gm, '')
    .trim()
    .split(/\n\s*\n/);
  const sentence = /^[^@\s].*?\.(\s|$)/s.exec(paragraph)?.[0] ?? '';
  return sentence.split(/\s+/).filter(Boolean).length >= 3;
}

function hasRolesBehindDots(path: string): boolean {
  const [name = '', ...folders] = path.split('/').toReversed();
  const [, ...roles] = name.split('.').slice(0, -1);
  return folders.every((folder) => !folder.includes('.')) && roles.every((role) => ROLES.has(role));
}

function nodes(
  { path, text }: SourceFile,
  breaks: (node: ts.Node, linesOf: (node: ts.Node) => number) => boolean,
): Finding[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const lineAt = (position: number) => source.getLineAndCharacterOfPosition(position).line + 1;
  const linesOf = (node: ts.Node) => lineAt(node.getEnd()) - lineAt(node.getStart()) + 1;
  const found: Finding[] = [];
  const visit = (node: ts.Node): void => {
    if (breaks(node, linesOf)) found.push({ line: lineAt(node.getStart()) });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
