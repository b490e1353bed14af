/** An application of its own in a folder of its own: installed, compiled by its own compiler, started. */
import { execFile, spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program } from '../support/server';
import type { ConformanceReport } from '../../src/idempotency/conformance/conformance-run';
import type { ProfileName } from '../../src/idempotency/conformance/probe/profiles';
import type { Application } from './applications';

const execute = promisify(execFile);

/** What installing the package has added. */
export interface Cost {
  readonly packages: number;
  readonly kilobytes: number;
}

export interface RunningApplication {
  readonly url: string;
  readonly program: Program;
}

export class FreshApplication {
  private constructor(
    private readonly application: Application,
    private readonly folder: string,
    readonly cost: Cost,
  ) {}

  /**
   * Installs what such an application has anyway, and then the package, as its README says.
   *
   * @throws Error with what npm printed
   */
  static async install(
    application: Application,
    folder: string,
    tarball: string,
  ): Promise<FreshApplication> {
    mkdirSync(folder, { recursive: true });
    const { dependencies, typescript } = application;
    const manifest = {
      private: true,
      dependencies,
      devDependencies: { typescript, '@types/node': '20.19.43' },
    };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    await npmInstall(folder);
    const before = await installed(folder);
    await npmInstall(folder, tarball);
    const after = await installed(folder);
    return new FreshApplication(application, folder, {
      packages: after.packages - before.packages,
      kilobytes: after.kilobytes - before.kilobytes,
    });
  }

  /**
   * Compiles the shop and the README's examples, strictly. What other packages' declarations have wrong with
   * them is theirs.
   *
   * @throws Error with what is wrong in the application, or in this package's declarations
   */
  async compile(): Promise<void> {
    const { module, adapter } = this.application;
    for (const name of ['first-replay', 'shop']) {
      cpSync(join(__dirname, name), join(this.folder, name), { recursive: true });
    }
    if (adapter === 'express') {
      const file = join(this.folder, 'shop', 'adapter.ts');
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, text.replaceAll('Fastify', 'Express').replaceAll('fastify', 'express'));
    }
    const compilerOptions = {
      module,
      moduleResolution: module === 'commonjs' ? 'node' : module,
      target: 'ES2022',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noPropertyAccessFromIndexSignature: true,
      skipLibCheck: false,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      esModuleInterop: true,
      rootDir: '.',
      outDir: 'dist',
    };
    const config = { compilerOptions, include: ['first-replay', 'shop'] };
    writeFileSync(join(this.folder, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join('node_modules', 'typescript', 'bin', 'tsc');
    const said = await execute(process.execPath, [tsc, '--pretty', 'false'], {
      cwd: this.folder,
    }).then(
      ({ stdout }) => stdout,
      (error: { stdout: string }) => error.stdout,
    );
    const wrong = said
      .split('\n')
      .filter((line) => /error TS\d+/.test(line))
      .filter((line) => !/^node_modules\/(?!@paidonce\/)/.test(line));
    if (wrong.length > 0) throw new Error(wrong.join('\n'));
  }

  /** @param app the README's application or the shop */
  async start(app: 'readme' | 'shop', env: Record<string, string>): Promise<RunningApplication> {
    const program = new Program(
      spawn(process.execPath, [join('dist', 'shop', 'main.js')], {
        cwd: this.folder,
        env: { PATH: process.env.PATH, HOME: process.env.HOME, APP: app, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      }),
    );
    const [, url = ''] = await program.says(/listens on (\S+)\n/);
    return { url, program };
  }

  /**
   * Runs the package's `paidonce-check`, as npm has installed it.
   *
   * @throws Error with what it printed, where it could check nothing
   */
  async check(url: string, profile: ProfileName, config: object): Promise<ConformanceReport> {
    const file = join(this.folder, 'check.json');
    writeFileSync(file, JSON.stringify(config));
    const program = join(this.folder, 'node_modules', '.bin', 'paidonce-check');
    const args = [url, '--profile', profile, '--config', file, '--json'];
    const printed = await execute(program, args).catch((error: { stdout?: string }) => {
      if (error.stdout) return { stdout: error.stdout }; // something failed
      throw error;
    });
    return JSON.parse(printed.stdout) as ConformanceReport;
  }
}

async function npmInstall(folder: string, ...what: string[]): Promise<void> {
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel', 'error'];
  // `npm run` leaves settings of this project to its programs, which another project's npm would take.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^npm_(?!config_)|^npm_config_local_prefix$/.test(name),
  );
  const env = Object.fromEntries(inherited);
  await execute('npm', ['install', ...quiet, ...what], { cwd: folder, env });
}

async function installed(folder: string): Promise<Cost> {
  const lock = readFileSync(join(folder, 'node_modules', '.package-lock.json'), 'utf8');
  const { packages } = JSON.parse(lock) as { packages: object };
  const { stdout } = await execute('du', ['-sk', 'node_modules'], { cwd: folder });
  return { packages: Object.keys(packages).length, kilobytes: parseInt(stdout, 10) };
}
