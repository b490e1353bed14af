/** Runs a harness as a program: PostgreSQL, clean-up, exit codes. */
import globalSetup from './global-setup';
import globalTeardown from './global-teardown';
import { killAll } from './server';

/**
 * Runs a harness to its end, as a program.
 *
 * @param main its exit code; what it throws is shown, and the code is 2
 */
export function runHarness(main: () => Promise<number>): void {
  // A signal ends the programs that the harness has started.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void killAll()
        .then(() => globalTeardown())
        .then(() => process.exit(130));
    });
  }
  main().then(
    (code) => process.exit(code),
    (error: Error) => {
      process.stderr.write(`${error.stack ?? error.message}\n`);
      process.exit(2);
    },
  );
}

/** With a PostgreSQL, and with src compiled; ends both, and every program that is left. */
export async function onPostgres<T>(run: () => Promise<T>): Promise<T> {
  await globalSetup();
  try {
    return await run();
  } finally {
    await killAll();
    await globalTeardown();
  }
}

/** The names that `--only` gives. @throws Error that lists the known ones, where one is unknown */
export function onlyOf(
  only: string | undefined,
  known: readonly string[],
): readonly string[] | undefined {
  const names = only?.split(',');
  for (const name of names ?? []) {
    if (!known.includes(name)) {
      throw new Error(`There is nothing named ${name}, but ${known.join(', ')}.`);
    }
  }
  return names;
}

/** A line on standard output. */
export const print = (text: string): void => void process.stdout.write(`${text}\n`);
