/** The server of an earlier commit: taken out of git, installed by its own lock, built, started. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Program } from '../support/server';

const ROOT = join(__dirname, '..', '..');

/** The commit that 0.1.0 was first made from: there are data directories of it. */
export const FIRST_COMMIT = '8475d32198e0f665f1ac569cd91de83201e87c30';

/** Thrown with a sentence for people where git does not have the commit. */
export class NoHistoryError extends Error {
  override readonly name = 'NoHistoryError';
}

export class EarlierServer {
  private constructor(private readonly directory: string) {}

  /**
   * @param directory where to put it; must not be there
   * @throws NoHistoryError in a shallow clone, or outside of one
   * @throws Error with the output of the step that failed
   */
  static install(
    commit: string,
    directory: string,
    say: (progress: string) => void,
  ): EarlierServer {
    const found = spawnSync('git', ['cat-file', '-e', `${commit}^{commit}`], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    if (found.status !== 0) {
      const reason = (found.error?.message ?? found.stderr).trim().split('\n', 1)[0];
      throw new NoHistoryError(
        `git has no commit ${commit.slice(0, 7)} here (${reason}). It needs a whole clone: ` +
          'git fetch --unshallow, or fetch-depth: 0 in a workflow.',
      );
    }
    say(`takes ${commit.slice(0, 7)} out of git`);
    const archive = `${directory}.tar`;
    mkdirSync(directory);
    run('git', ['archive', '--output', archive, commit], ROOT);
    run('tar', ['-xf', archive, '-C', directory], ROOT);
    say('installs it by its own lock');
    const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--include=dev'];
    run('npm', ['ci', ...quiet], directory);
    say('builds it');
    run('npm', ['run', 'build:server', '--silent'], directory);
    return new EarlierServer(directory);
  }

  /** One of its programs, over a bare environment. */
  program(
    file: 'main' | 'keys',
    env: Readonly<Record<string, string>>,
    args: readonly string[] = [],
  ): Program {
    return new Program(
      spawn(process.execPath, [join(this.directory, 'dist', `${file}.js`), ...args], {
        cwd: this.directory,
        env: { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: 'error', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      }),
    );
  }

  /** The server, once it is ready. */
  async start(env: Readonly<Record<string, string>>): Promise<{ program: Program; url: string }> {
    const program = this.program('main', { PORT: '0', ...env });
    const [, url = ''] = await program.says(/paidonce listens on (\S+)\n[^]*\n$/);
    return { program, url };
  }
}

function run(command: string, args: readonly string[], cwd: string): void {
  // `npm run` leaves settings of this project to its programs, which another project's npm would take.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^npm_(?!config_)|^npm_config_local_prefix$/.test(name),
  );
  const env = Object.fromEntries(inherited);
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
  });
  if (status === 0) return;
  const said = `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.trim().slice(-2_000);
  throw new Error(`${command} ${args.join(' ')} failed:\n${said}`);
}
