/** `.env.example`, made of src/runtime/settings.ts. `npm run settings` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { loadSettings, type Settings, SettingsError } from '../../src/runtime/settings';

const ROOT = join(__dirname, '..', '..');
const MAX_LINE = 100;

const INTRODUCTION =
  'Every setting of paidonce, made of src/runtime/settings.ts by `npm run settings`. Copy this file to .env and ' +
  'uncomment what differs. A variable of the environment goes before the file. R2 and the like are rules of ' +
  'docs/PROTOCOL.md.';

/** The whole file. */
export function envExample(): string {
  const defaults = loadSettings({});
  const paragraphs = declarations().flatMap(({ heading, name, explanation }) => {
    const bounds = boundsOf(name);
    const lines = [
      ...wrapped(explanation),
      ...(bounds === undefined ? [] : wrapped(bounds)),
      `#${name}=${defaults[name]}`,
    ];
    return [...(heading === undefined ? [] : [`# --- ${heading} ---`]), lines.join('\n')];
  });
  return `${[wrapped(INTRODUCTION).join('\n'), ...paragraphs].join('\n\n')}\n`;
}

type SettingName = Exclude<keyof Settings, 'with'>;

interface Declaration {
  /** Of the group that the setting begins. */
  readonly heading?: string;
  readonly name: SettingName;
  readonly explanation: string;
}

/** The members of `specs` with the comments before them, in their order. */
function declarations(): Declaration[] {
  const path = join(ROOT, 'src', 'runtime', 'settings.ts');
  const text = readFileSync(path, 'utf8');
  const found: Declaration[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && node.name.getText() === 'specs') {
      const { properties } = node.initializer as ts.ObjectLiteralExpression;
      found.push(...properties.map((property) => declarationOf(property, text)));
    } else ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return found;
}

function declarationOf(property: ts.ObjectLiteralElementLike, text: string): Declaration {
  const name = property.name?.getText() as SettingName;
  const comments = (ts.getLeadingCommentRanges(text, property.pos) ?? []).map(({ pos, end }) =>
    text.slice(pos, end),
  );
  const explanation = comments.find((comment) => comment.startsWith('/**'));
  if (explanation === undefined) throw new Error(`${name} has no comment.`);
  const heading = comments
    .find((comment) => comment.startsWith('//'))
    ?.slice(2)
    .trim();
  return { heading, name, explanation: explanation.replaceAll(/^\/\*\*|\s*\*\/$|^ *\*/gm, '') };
}

/** What the setting must be, in the words of its refusal; undefined where any text will do. */
function boundsOf(name: SettingName): string | undefined {
  try {
    loadSettings({ [name]: '-1' });
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const bounds = /must be (.*?)(, but is "-1")?\.$/.exec(error.message)?.[1] ?? '';
    return `${bounds.charAt(0).toUpperCase()}${bounds.slice(1)}.`;
  }
  return undefined;
}

/** Commented lines. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > MAX_LINE) lines.push(`# ${word}`);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

// Not where a test imports it.
if (process.argv[1] === 'test/platform/env-example.ts') {
  writeFileSync(join(ROOT, '.env.example'), envExample());
}
