/** The program `paidonce-check`: checks a server over HTTP, and prints what holds. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CheckConfigError, readCheckConfig } from './probe/check-config';
import { type ConformanceReport, readServerUrl, runChecks } from './conformance-run';
import { isProfileName, PROFILES } from './probe/profiles';

const USAGE = `paidonce-check URL --profile ${Object.keys(PROFILES).join('|')} --config FILE [--json] [--yes]

Sends the server at URL requests with idempotency keys and prints what holds.
--json  prints JSON
--yes   allows another machine than this one; the requests have effects there
The exit code is 0 if nothing failed, 1 if something did, 2 if the arguments or the config are wrong.
The config is described in the README of @paidonce/idempotency.
`;

async function main(): Promise<number> {
  const { values, positionals } = readArguments();
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const [text] = positionals;
  if (text === undefined || positionals.length > 1) {
    throw new CheckConfigError(`Name one URL.\n\n${USAGE}`);
  }
  if (!isProfileName(values.profile)) {
    throw new CheckConfigError(`--profile must be one of ${Object.keys(PROFILES).join(', ')}.`);
  }
  const url = readServerUrl(text, values.yes);
  const report = await runChecks(url, values.profile, readCheckConfig(readConfig(values.config)));
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : tableOf(report));
  return report.failed === 0 ? 0 : 1;
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        profile: { type: 'string' },
        config: { type: 'string' },
        json: { type: 'boolean', default: false },
        yes: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new CheckConfigError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

function readConfig(file: string | undefined): string {
  if (file === undefined) throw new CheckConfigError('Name a file with --config.');
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CheckConfigError(`The config cannot be read: ${(error as Error).message}.`);
  }
}

function tableOf({ checks, durationMs, ...counts }: ConformanceReport): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(
    ({ result, name, rules, saw }) =>
      `${result.padEnd(9)}  ${name.padEnd(width)}  ${saw} (${rules})`,
  );
  const { passed, failed, notTried, url, profile } = counts;
  const seconds = (durationMs / 1_000).toFixed(1);
  lines.push(
    `${url}, profile ${profile}: ${passed} passed, ${failed} failed, ${notTried} not tried, in ${seconds} s`,
  );
  return `${lines.join('\n')}\n`;
}

main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    if (!(error instanceof CheckConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  },
);
