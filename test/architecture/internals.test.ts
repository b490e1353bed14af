/** docs/INTERNALS.md lists every place that reaches into a library, and each fault planted in it is found. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { type Dependent, internalsFaults } from './internals';

const ROOT = join(__dirname, '..', '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
}

it('every place that reaches into a library has a row, a test and the version in package.json', () => {
  const manifest = JSON.parse(read('package.json')) as Manifest;
  const paths = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `src/${name.split(sep).join('/')}`);
  const project: Dependent = {
    page: read('docs/INTERNALS.md'),
    files: paths.map((path) => ({ path, text: read(path) })),
    // Applications on Express bring libraries that are here for the tests alone.
    versions: {
      ...manifest.devDependencies,
      ...manifest.dependencies,
      ...manifest.optionalDependencies,
    },
    exists: (path) => existsSync(join(ROOT, path)),
  };
  expect(project.page).toContain('| `');
  expect(internalsFaults(project)).toEqual([]);
});

describe('the rules for internals', () => {
  const ROW =
    '| `pool` | `driver.master` | typeorm 1.1.1, pg 8.0.0 | `src/a.ts` | `test/a.test.ts` | R9 |';
  const CODE = '// Internals: pool\nconst { master } = dataSource.driver;\n';

  function faultsOf(page: string, text: string, other = ''): string[] {
    return internalsFaults({
      page,
      files: [
        { path: 'src/a.ts', text },
        { path: 'src/b.ts', text: other },
      ],
      versions: { typeorm: '1.1.1', pg: '8.0.0' },
      exists: (path) => path === 'test/a.test.ts',
    });
  }

  it('let a sound page pass', () => {
    expect(faultsOf(ROW, CODE)).toEqual([]);
    expect(faultsOf(ROW.replace('typeorm 1.1.1, pg 8.0.0', 'Node.js'), CODE)).toEqual([]);
  });

  it.each<[fault: string, from: string, to: string]>([
    ['a place without its comment', '`src/a.ts`', '`src/a.ts`, `src/b.ts`'],
    ['a place that is not named', '`src/a.ts`', ''],
    ['a test that does not exist', '`test/a.test.ts`', '`test/b.test.ts`'],
    ['no test', '`test/a.test.ts`', ''],
    ['no reason', 'R9', ''],
    ['an old version', 'pg 8.0.0', 'pg 7.0.0'],
    ['a package that is not used', 'pg 8.0.0', 'pq 8.0.0'],
    ['a row of another name', '`pool`', '`pond`'],
  ])('find %s', (_fault, from, to) => {
    expect(faultsOf(ROW.replace(from, to), CODE)).not.toEqual([]);
  });

  it.each([
    "import { METADATA } from '@nestjs/common/internal';",
    'const { pool } = backend as unknown as { pool: Pool };',
    'for (const client of pool._clients) f(client);',
    'Batch.prototype.submit = f;',
    "Object.defineProperty(dataSource.manager, 'queryRunner', {});",
    "const [parse] = socket.listeners('data');",
    'res.shouldKeepAlive = false;',
    'stream.cork();',
    "setFlagsFromString('--no-opt');",
  ])('find code without a comment: %s', (other) => {
    expect(faultsOf(ROW, CODE, other)).toEqual([expect.stringMatching('^src/b.ts: reaches')]);
  });

  it('let pass a private property of the same object, and a cast between types that are known', () => {
    const other =
      'this.#x = row as unknown as Row; f(_unused); Object.defineProperty(own, "name", {});';
    expect(faultsOf(ROW, CODE, other)).toEqual([]);
  });
});
