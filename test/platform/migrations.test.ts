/** Migrations are found by the names of their files. What would make their order doubtful ends the start. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findMigrations } from '../../src/database/migrations';

const SOURCES = join(__dirname, '..', '..', 'src');
const directories: string[] = [];

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** A directory with these files. */
function directoryOf(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'migrations-'));
  directories.push(directory);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

const classOf = (name: string) => `export class ${name} { readonly name = '${name}'; }`;

it('a migration in any folder is found, in the order of the timestamps', () => {
  const directory = directoryOf({
    'accounts/b.migration.ts': classOf('Second1764000000002'),
    'payments/charges/a.migration.ts': classOf('Third1764000000010'),
    'z.migration.ts': classOf('First1764000000001'),
  });
  expect(findMigrations(directory).map(({ name }) => name)).toEqual([
    'First1764000000001',
    'Second1764000000002',
    'Third1764000000010',
  ]);
});

it('nothing but a migration is loaded', () => {
  const fails = 'throw new Error("loaded");';
  const directory = directoryOf({
    'a.migration.ts': classOf('First1764000000001'),
    'a.migration.js': fails,
    'a.migration.d.ts': fails,
    'a.migration.ts.map': fails,
    'migration.ts': fails,
    'a.migration.test.ts': fails,
  });
  expect(findMigrations(directory)).toHaveLength(1);
});

it("the program's own are all of its files with that ending", () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' });
  const migrations = findMigrations();
  expect(migrations).toHaveLength(files.filter((path) => path.endsWith('.migration.ts')).length);
  expect(migrations[0]?.name).toBe('CreateIdempotencyKeys1764000000000');
});

it.each([
  [
    'two with one timestamp',
    { 'a.migration.ts': classOf('A1764000000001'), 'b/b.migration.ts': classOf('B1764000000001') },
    'The migrations a.migration.ts and b/b.migration.ts have the same timestamp, 1764000000001.',
  ],
  ['a name without a timestamp', { 'a.migration.ts': classOf('AddGroups') }, 'ends in 13 digits'],
  ['seconds', { 'a.migration.ts': classOf('AddGroups1764000000') }, 'ends in 13 digits'],
  ['14 digits', { 'a.migration.ts': classOf('AddGroups17640000000000') }, 'ends in 13 digits'],
  [
    'another name for TypeORM',
    { 'a.migration.ts': "export class A1764000000001 { readonly name = 'B1764000000001'; }" },
    'that name again',
  ],
  [
    'no class',
    { 'a.migration.ts': 'export const up = 1;' },
    'a.migration.ts must export one class',
  ],
  [
    'two classes',
    { 'a.migration.ts': `${classOf('A1764000000001')} ${classOf('B1764000000002')}` },
    'a.migration.ts must export one class',
  ],
  ['no migration', { 'readme.txt': '' }, 'Build it again.'],
])('%s ends the start with a sentence', (_, files, sentence) => {
  const directory = directoryOf(files);
  expect(() => findMigrations(directory)).toThrow(
    expect.objectContaining({ name: 'OperatorError', message: expect.stringContaining(sentence) }),
  );
});
