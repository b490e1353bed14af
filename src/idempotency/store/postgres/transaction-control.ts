/** Whether a statement, as its text is sent, would begin or end the transaction it is sent in (R9a). */

/** How nearly all statements begin. Such a text ends no transaction, unless a second statement follows. */
const USUAL = /^(?:select|insert|update|delete|with)\b/i;

/** What stands between words: white space, and comments, of which those in stars may be nested. */
const SKIPPED = /(?:\s|--[^\n\r]*)+|\/\*/y;
/** Texts and names in quotes, and texts in dollars: a semicolon in them ends no statement. */
const QUOTED =
  /\be'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[^]*?\$\1\$/iy;

const CONTROL = /^(?:begin|commit|end|abort|start transaction|rollback|prepare transaction)\b/i;
/** It stays inside: it undoes what came after a savepoint. */
const TO_SAVEPOINT = /^rollback (?:(?:work|transaction) )?to\b/i;

/**
 * @param values of the statement's parameters: PostgreSQL takes one statement only where there are some
 * @returns the first words of the statement that does, such as `COMMIT`; nothing for any other text
 */
export function transactionControlIn(text: string, values?: unknown): string | undefined {
  const single = (Array.isArray(values) && values.length > 0) || !text.includes(';');
  if (single && USUAL.test(text)) return undefined;
  return statementsIn(text).find((words) => CONTROL.test(words) && !TO_SAVEPOINT.test(words));
}

/** The statements of a text, their quotes and comments taken out, and one blank between two words. */
function statementsIn(text: string): string[] {
  const statements = [''];
  const append = (more: string) => statements.push((statements.pop() as string) + more);
  for (let at = 0; at < text.length;) {
    SKIPPED.lastIndex = QUOTED.lastIndex = at;
    const skipped = SKIPPED.exec(text)?.[0];
    const quoted = QUOTED.exec(text)?.[0];
    if (skipped !== undefined) {
      at = skipped === '/*' ? endOfComment(text, at) : at + skipped.length;
      if (!/^$|\s$/.test(statements.at(-1) as string)) append(' ');
    } else if (quoted !== undefined) {
      at += quoted.length;
      append("''");
    } else {
      if (text[at] === ';') statements.push('');
      else append(text[at] as string);
      at += 1;
    }
  }
  return statements;
}

function endOfComment(text: string, from: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = from;
  for (let depth = 0, mark = marks.exec(text); mark; mark = marks.exec(text)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return text.length;
}
