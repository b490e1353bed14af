/** Rewrites a TypeScript source so that each of its functions reports its execution. */
import ts from 'typescript';

/** Where a function stands, and its name. */
export interface TracedFunction {
  /** From the project's directory, with forward slashes. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** `Class.method`; an anonymous function is named by the call that takes it: `wait > map()`. */
  readonly name: string;
}

/** The global function that a rewritten source calls, with the index of the function executed. */
export const HOOK = '__traceVisit';

interface Insertion {
  readonly at: number;
  readonly text: string;
}

/**
 * Puts a call of the hook at the beginning of every function's body: methods, constructors, accessors
 * and anonymous functions included. Line numbers stay. A field's initializer is not a function. A
 * parameter's default runs before the call.
 *
 * @param functions the functions of this source are appended; the index of each is the call's argument
 */
export function instrument(file: string, text: string, functions: TracedFunction[]): string {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const insertions: Insertion[] = [];

  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body) {
      const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      const call = `${HOOK}(${functions.length})`;
      functions.push({ file, line, name: pathTo(node) });
      insertions.push(...callsIn(node.body, call));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return applied(text, insertions);
}

function callsIn(body: ts.Node, call: string): Insertion[] {
  if (!ts.isBlock(body)) {
    return [
      { at: body.getStart(), text: `(${call}, ` },
      { at: body.getEnd(), text: ')' },
    ];
  }
  // A directive such as 'use strict' must stay first.
  const directives = body.statements.filter(
    (statement) => ts.isExpressionStatement(statement) && ts.isStringLiteral(statement.expression),
  );
  return [{ at: directives.at(-1)?.getEnd() ?? body.getStart() + 1, text: ` ${call};` }];
}

function applied(text: string, insertions: readonly Insertion[]): string {
  const sorted = insertions.toSorted((a, b) => a.at - b.at);
  let result = '';
  let from = 0;
  for (const { at, text: inserted } of sorted) {
    result += text.slice(from, at) + inserted;
    from = at;
  }
  return result + text.slice(from);
}

/** The function's name, after the names of its class or of the functions around it. */
function pathTo(node: ts.Node): string {
  const own = nameOf(node);
  const outer = ts.findAncestor(
    node.parent,
    (ancestor) => ts.isClassLike(ancestor) || ts.isFunctionLike(ancestor),
  );
  if (!outer) return own;
  if (!ts.isClassLike(outer)) return `${pathTo(outer)} > ${own}`;
  return `${outer.name?.text ?? 'class'}.${own}`;
}

function nameOf(node: ts.Node): string {
  if (ts.isConstructorDeclaration(node)) return 'constructor';
  if (ts.isGetAccessor(node)) return `get ${node.name.getText()}`;
  if (ts.isSetAccessor(node)) return `set ${node.name.getText()}`;
  const named = node as ts.NamedDeclaration;
  if (named.name) return named.name.getText();
  return nameOfHolder(node);
}

/** The name of the variable that an anonymous function is assigned to, or of the call that takes it. */
function nameOfHolder(node: ts.Node): string {
  const { parent } = node;
  if (ts.isParenthesizedExpression(parent) || ts.isAsExpression(parent))
    return nameOfHolder(parent);
  if (ts.isCallExpression(parent) || ts.isNewExpression(parent)) {
    const callee = parent.expression;
    return ts.isPropertyAccessExpression(callee)
      ? `${callee.name.text}()`
      : ts.isIdentifier(callee)
        ? `${callee.text}()`
        : 'anonymous';
  }
  const holds =
    ts.isVariableDeclaration(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isPropertyAssignment(parent);
  return holds ? parent.name.getText() : 'anonymous';
}
