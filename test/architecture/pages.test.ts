/** Links, paths and decision records in the project's pages (Markdown). */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  brokenLinks,
  incompleteRecords,
  missingPaths,
  type Page,
  type Project,
  untrueCalls,
} from './pages';

const ROOT = join(__dirname, '..', '..');
/** Not the project's own pages. */
const SKIPPED = new Set(['node_modules', 'dist', '.git', '.data']);

function pagesUnder(folder: string): Page[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : pagesUnder(path);
    return path.endsWith('.md') ? [{ path, text: readFileSync(join(ROOT, path), 'utf8') }] : [];
  });
}

const project: Project = {
  pages: pagesUnder(''),
  exists: (path) => existsSync(join(ROOT, path)),
  source: (path) =>
    path.startsWith('src/') && existsSync(join(ROOT, path))
      ? readFileSync(join(ROOT, path), 'utf8')
      : undefined,
};

describe('the pages of the project', () => {
  it('link to files and headings that exist', () => {
    expect(project.pages.length).toBeGreaterThan(20);
    expect(brokenLinks(project)).toEqual([]);
  });

  it('name paths that exist', () => {
    expect(missingPaths(project)).toEqual([]);
  });

  it('place calls in files that have them', () => {
    expect(untrueCalls(project)).toEqual([]);
  });

  it('have complete decision records, each in the index', () => {
    expect(incompleteRecords(project)).toEqual([]);
  });
});

const record = {
  path: 'docs/decisions/0001-a-title.md',
  text: `# 0001 A title

- Date: 2026-11-21
- Status: Accepted

## Context

[The guide](../guide.md#the-first-step-twice), \`src/wire/ids.ts\`, \`wire/ids.ts\`, \`[no](link)\`, \`newId\` in \`wire/ids.ts\`.

\`\`\`
  ▸ wire/ids.ts   newId   a call
\`\`\`

## Decision

## Consequences
`,
};
const index = {
  path: 'docs/decisions/README.md',
  text: '| [0001](0001-a-title.md) | A title | Accepted | One sentence. |\n',
};
const guide = { path: 'docs/guide.md', text: '## The first step, *twice*\n' };

/** A small project, and what the rules find in it. */
function faultsOf(pages: readonly Page[]): string[] {
  const files = ['src/wire/ids.ts', ...pages.map(({ path }) => path)];
  const small: Project = {
    pages,
    exists: (path) => files.includes(path),
    source: (path) => (path === 'src/wire/ids.ts' ? 'function newId() {}' : undefined),
  };
  return [
    ...brokenLinks(small),
    ...missingPaths(small),
    ...untrueCalls(small),
    ...incompleteRecords(small),
  ];
}

describe('the rules for pages', () => {
  it('let a sound project pass', () => {
    expect(faultsOf([record, index, guide])).toEqual([]);
  });

  it.each<[fault: string, from: string, to: string, found: string]>([
    ['a link to no file', 'guide.md#', 'gone.md#', '../gone.md#the-first-step-twice'],
    ['a link to no heading', '#the-first-step-twice', '#second', '../guide.md#second'],
    ['a path to no file', '`src/wire/ids.ts`', '`src/wire/id.ts`', 'src/wire/id.ts'],
    ['a short path to no file', '`wire/ids.ts`', '`wire/id.ts`', 'wire/id.ts'],
    ['a call in no file', '▸ wire/ids.ts', '▸ wire/id.ts', 'wire/id.ts newId'],
    ['a call that is elsewhere', 'newId   a call', 'oldId   a call', 'wire/ids.ts oldId'],
    ['a name that is elsewhere', '`newId` in', '`oldId` in', 'wire/ids.ts oldId'],
    ['no date', '- Date: 2026-11-21\n', '', 'date'],
    ['a status that says nothing', 'Status: Accepted', 'Status: Done', 'status'],
    ['a section that is missing', '## Consequences\n', '', 'sections'],
    ['a title that the index lacks', '# 0001 A title', '# 0001 Another', 'row in the index'],
  ])('find %s', (_fault, from, to, found) => {
    const text = record.text.replace(from, to);
    expect(text).not.toBe(record.text);
    expect(faultsOf([{ ...record, text }, index, guide])).toContain(`${record.path}: ${found}`);
  });

  it('find a record that the index lacks', () => {
    expect(faultsOf([record, { ...index, text: '' }, guide])).toEqual([
      `${record.path}: row in the index`,
    ]);
  });
});
