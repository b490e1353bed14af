/** The options that an interface declares, and those that a README lists, so that they can be compared. */
import ts from 'typescript';

export interface DeclaredOption {
  readonly name: string;
  /** Bounds and default: the numbers of its comment, as they are written there. */
  readonly numbers: readonly string[];
}

export interface OptionRow {
  readonly name: string;
  /** The rest of the row. */
  readonly text: string;
}

/** @param source the text of a file */
export function optionsIn(source: string, interfaceName: string): DeclaredOption[] {
  const file = ts.createSourceFile('options.ts', source, ts.ScriptTarget.Latest, true);
  const found = file.statements.find(
    (statement) => ts.isInterfaceDeclaration(statement) && statement.name.text === interfaceName,
  );
  if (!found) throw new Error(`There is no interface ${interfaceName}.`);
  return (found as ts.InterfaceDeclaration).members.map((member) => {
    const comment = member.getFullText();
    // Not the numbers of rules (R18), of RFCs and of seconds in a sentence.
    const plain = comment.replaceAll(/\b(R\d+[a-z]?|RFC \d+|\d+ s)\b/g, '');
    return {
      name: member.name?.getText() ?? '',
      numbers: [...plain.matchAll(/\d[\d,.]*\d|\d/g)].map(([number]) => number),
    };
  });
}

/** @param heading of the section whose table it is */
export function rowsIn(readme: string, heading: string): OptionRow[] {
  const section = readme.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^\| `(\w+)` *\|(.*)$/gm)].map(([, name = '', text = '']) => ({
    name,
    text,
  }));
}
