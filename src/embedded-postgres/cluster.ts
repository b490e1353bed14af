/** The cluster of the embedded PostgreSQL: its directory, made by initdb, and who may read it. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  chooseUser,
  EmbeddedPostgresError,
  isReachable,
  locateBinaries,
  type RunAs,
} from './binaries';

/** The superuser's password, inside the cluster so that the two cannot part. */
const PASSWORD_FILE = 'paidonce.password';

export class Cluster {
  readonly directory: string;
  readonly password: string;
  private readonly user: RunAs | undefined;
  private readonly binaries: string;

  /**
   * Makes the cluster in `dataDir` if it is not there.
   *
   * @throws EmbeddedPostgresError where the directory cannot be used or initdb fails
   */
  constructor(private readonly dataDir: string) {
    this.directory = join(dataDir, 'postgres');
    try {
      mkdirSync(dataDir, { recursive: true });
      this.user = chooseUser(this.directory);
      this.binaries = locateBinaries(dataDir, this.user);
      if (!existsSync(this.directory)) this.initialise();
      this.password = readFileSync(join(this.directory, PASSWORD_FILE), 'utf8');
    } catch (error) {
      if (error instanceof EmbeddedPostgresError) throw error;
      throw new EmbeddedPostgresError(
        `The embedded PostgreSQL cannot use ${dataDir}: ${(error as Error).message}.`,
        { cause: error },
      );
    }
  }

  /** Path of one of PostgreSQL's programs, e.g. `initdb`. */
  program(name: string): string {
    return join(this.binaries, 'bin', name);
  }

  /** How a program of PostgreSQL's runs on a directory: its user, and none of our environment. */
  spawnOptions(directory: string) {
    // PG* variables of our own environment would change what initdb makes.
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin', TZ: 'UTC', LC_ALL: 'C' };
    return { cwd: directory, env, uid: this.user?.uid, gid: this.user?.gid };
  }

  /**
   * The path that a program of PostgreSQL's gets for a directory. Root's home is closed to the user that
   * PostgreSQL runs as, but a process may stay in its working directory without permission: then this is
   * the working directory.
   *
   * @throws EmbeddedPostgresError where that is not possible
   */
  directoryArgument(directory: string): string {
    if (isReachable(directory, this.user)) return directory;
    if (process.platform === 'linux') return '/proc/self/cwd';
    throw new EmbeddedPostgresError(
      `PostgreSQL does not run as root, and the user it runs as instead (uid ${this.user?.uid}) cannot enter ${this.dataDir}: set DATA_DIR to a directory that others may enter, or run as a normal user.`,
    );
  }

  /** Made beside its place and renamed into it: an interrupted start leaves no half cluster. */
  private initialise(): void {
    const draft = `${this.directory}.${process.pid}`;
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { mode: 0o700 });
    this.giveToUser(draft);
    const passwordFile = `${draft}.password`;
    writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 });
    this.giveToUser(passwordFile);
    const { status, error, stderr } = this.runInitdb(draft, passwordFile);
    renameSync(passwordFile, join(draft, PASSWORD_FILE));
    if (status !== 0) {
      rmSync(draft, { recursive: true, force: true });
      const reason = (error?.message ?? stderr).trim();
      throw new EmbeddedPostgresError(`The embedded PostgreSQL could not be set up: ${reason}`);
    }
    try {
      renameSync(draft, this.directory);
    } catch (renameError) {
      rmSync(draft, { recursive: true, force: true });
      // Another process made the cluster meanwhile: this one uses it.
      if (!existsSync(this.directory)) throw renameError;
    }
  }

  private runInitdb(draft: string, passwordFile: string) {
    const password = openSync(passwordFile, 'r');
    try {
      return spawnSync(
        this.program('initdb'),
        [
          `--pgdata=${this.directoryArgument(draft)}`,
          '--username=postgres',
          '--locale=C',
          '--encoding=UTF8',
          '--auth=scram-sha-256',
          '--pwfile=/dev/stdin',
        ],
        { ...this.spawnOptions(draft), stdio: [password, 'pipe', 'pipe'], encoding: 'utf8' },
      );
    } finally {
      closeSync(password);
    }
  }

  private giveToUser(path: string): void {
    if (this.user !== undefined) chownSync(path, this.user.uid, this.user.gid);
  }
}
