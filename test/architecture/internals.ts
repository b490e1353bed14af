/** The rules for docs/INTERNALS.md: each place that reaches into a library has a row, a test and the right version. */
import type { SourceFile } from './finding';

/** What the page is compared with. */
export interface Dependent {
  /** The text of docs/INTERNALS.md. */
  readonly page: string;
  /** All of src. */
  readonly files: readonly SourceFile[];
  /** Versions in package.json, by the name of the package. */
  readonly versions: Readonly<Record<string, string>>;
  /** Whether a file exists, by its path from the project's directory. */
  readonly exists: (path: string) => boolean;
}

/** The columns of a row. */
interface Row {
  readonly name: string;
  readonly version: string;
  readonly places: readonly string[];
  readonly tests: readonly string[];
  /** Why the place must be, or what it gains. */
  readonly reason: string;
}

const MARK = /\/\/ Internals: (\S+)/g;

/** Code that reaches into a library or Node.js, as far as its text shows it. */
const REACHING = [
  /from '[^']+\/internal'/, // what a package calls internal
  /as unknown as \{/, // a hidden property
  /[\w)\]]\._[a-z]/, // a private property
  /\.prototype\.\w+ =/,
  /Object\.defineProperty\(\w+\./, // another object's property
  /\.listeners\(|\bdestroySoon\b|\bassignSocket\(|\bshouldKeepAlive\b/,
  /\.(un)?cork\(|\.connection\.stream\b|\bconnectionParameters\b/,
  /\breleasePostgresConnection\b|\btransactionDepth\b|\.driver\b/,
  /\bsetFlagsFromString\b|\bgetMetadataStorage\b/,
];

export function internalsFaults({ page, files, versions, exists }: Dependent): string[] {
  const rows = rowsOf(page);
  const marked = files.flatMap(({ path, text }) =>
    [...text.matchAll(MARK)].map(([, name = '']) => ({ path, name })),
  );
  const isMarked = (path: string, name: string) =>
    marked.some((mark) => mark.path === path && mark.name === name);
  return [
    ...rows.flatMap(({ name, version, places, tests, reason }) => [
      ...places
        .filter((place) => !isMarked(place, name))
        .map((place) => `${name}: ${place} has no comment "Internals: ${name}"`),
      ...tests.filter((test) => !exists(test)).map((test) => `${name}: there is no ${test}`),
      ...(places.length === 0 ? [`${name}: names no place`] : []),
      ...(tests.length === 0 ? [`${name}: names no test`] : []),
      ...(reason === '' ? [`${name}: says neither why nor what it gains`] : []),
      ...staleVersions(version, versions).map((stale) => `${name}: ${stale}`),
    ]),
    ...marked
      .filter(
        ({ path, name }) => !rows.some((row) => row.name === name && row.places.includes(path)),
      )
      .map(({ path, name }) => `${path}: the page has no row ${name} with this file`),
    ...files
      .filter(({ text }) => REACHING.some((pattern) => pattern.test(text)))
      .filter(({ path }) => !marked.some((mark) => mark.path === path))
      .map(({ path }) => `${path}: reaches into a library without a comment "Internals: name"`),
  ];
}

function rowsOf(page: string): Row[] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [, name = '', , version = '', where = '', test = '', reason = ''] = line
        .split('|')
        .map((cell) => cell.trim());
      const [places, tests] = [pathsIn(where), pathsIn(test)];
      return { name: name.replaceAll('`', ''), version, places, tests, reason };
    });
}

const pathsIn = (cell: string): string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path);

/** Node.js has no version of its own: all that package.json allows must do. */
function staleVersions(cell: string, versions: Readonly<Record<string, string>>): string[] {
  if (cell === 'Node.js') return [];
  return cell.split(', ').flatMap((each) => {
    const [library = '', version] = each.split(' ');
    return versions[library] === version
      ? []
      : [`it says "${each}", and package.json ${versions[library]}`];
  });
}
