/** A run of the conformance kit: all checks of a profile against one server, one after another. */
import { NoReplyError } from './probe/bounded-request';
import { type Check, notTried, type CheckVerdict } from './checks/check';
import { type CheckConfig, CheckConfigError } from './probe/check-config';
import { copyChecks, firstRequest } from './checks/copy-checks';
import { errorChecks } from './checks/error-checks';
import { keyChecks } from './checks/key-checks';
import { Probe } from './probe/probe';
import { type ProfileName, PROFILES } from './probe/profiles';

export interface CheckResult extends CheckVerdict {
  readonly name: string;
  readonly rules: string;
}

export interface ConformanceReport {
  readonly url: string;
  readonly profile: ProfileName;
  readonly durationMs: number;
  readonly passed: number;
  readonly failed: number;
  readonly notTried: number;
  readonly checks: readonly CheckResult[];
}

/**
 * Checks a server. It ends by itself, after `totalMs` of the config at the latest.
 *
 * @throws CheckConfigError where the config does not fit the server: it lists no effects
 */
export async function runChecks(
  url: URL,
  profile: ProfileName,
  config: CheckConfig,
): Promise<ConformanceReport> {
  const started = performance.now();
  const probe = new Probe(config, PROFILES[profile], url, AbortSignal.timeout(config.totalMs));
  const first = await runCheck(firstRequest, probe);
  const checks = [first];
  const others = [...copyChecks, ...keyChecks, ...errorChecks].filter(
    ({ profiles }) => profiles?.includes(profile) ?? true,
  );
  for (const check of others) {
    checks.push(
      first.result === 'passed'
        ? await runCheck(check, probe)
        : resultOf(check, notTried('The first request did not have its effect.')),
    );
  }
  const count = (result: CheckVerdict['result']) =>
    checks.filter((each) => each.result === result).length;
  return {
    url: url.href,
    profile,
    durationMs: Math.round(performance.now() - started),
    passed: count('passed'),
    failed: count('failed'),
    notTried: count('not tried'),
    checks,
  };
}

async function runCheck(check: Check, probe: Probe): Promise<CheckResult> {
  const timeIsUp = notTried(`The ${probe.config.totalMs} ms for all checks were up.`);
  if (probe.signal.aborted) return resultOf(check, timeIsUp);
  try {
    return resultOf(check, await check.run(probe));
  } catch (error) {
    if (!(error instanceof NoReplyError)) throw error;
    return resultOf(
      check,
      probe.signal.aborted ? timeIsUp : { result: 'failed', saw: error.message },
    );
  }
}

function resultOf({ name, rules }: Check, verdict: CheckVerdict): CheckResult {
  return { name, rules, ...verdict };
}

/** Whether requests to this host stay on this machine. */
export function isLocal({ hostname }: URL): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/**
 * The server's URL, if it may be checked.
 *
 * @param isAllowed whether another machine than this was allowed
 * @throws CheckConfigError for what is no URL, and for another machine
 */
export function readServerUrl(text: string, isAllowed: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new CheckConfigError(`${text} is no http or https URL, such as http://localhost:3000.`);
  }
  if (!isLocal(url) && !isAllowed) {
    throw new CheckConfigError(
      `${url.hostname} is not this machine. The checks have effects there: orders, charges, whatever ` +
        'the route makes. If that is meant, add --yes.',
    );
  }
  return url;
}
