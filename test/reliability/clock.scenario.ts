/**
 * A process with a wrong clock beside one with a right clock: both must decide by the database's clock (R5).
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import type { RunningServer } from '../support/server';
import { inTestbed, type Run, type Scenario, Skipped, type ScenarioResult } from './scenario';
import type { Finding, Testbed } from './testbed';

/** How fast the clock is, h. (A key lives for 24 hours, a lease for 8.5 seconds.) */
const OFFSETS_H = [1, -1, 48, -48];
const HOUR_MS = 3_600_000;
/** How long the acquirer takes, ms: enough to send a copy meanwhile. */
const REMOTE_MS = 2_000;
/** How often a copy may come too late. */
const MAX_TRIES = 10;

export const clock: Scenario = {
  name: 'clock',
  about: 'a process whose clock is 1 or 48 hours fast or slow, beside one whose clock is right',
  run: (run) => {
    const library = faketime();
    if (library === undefined) throw new Skipped('there is no libfaketime');
    const env = { PURGE_INTERVAL_SECONDS: '1' }; // it would remove keys that it takes for expired
    const options = { acquirer: { latencyMs: REMOTE_MS }, remoteDeadlineMs: 3_500, env };
    return inTestbed(run, options, (testbed) => skew(testbed, run, library));
  },
};

async function skew(testbed: Testbed, run: Run, library: string): Promise<ScenarioResult> {
  const offsets = run.bug ? [48] : OFFSETS_H;
  const findings = await Promise.all(offsets.map((hours) => skewBy(hours, testbed, run, library)));
  await testbed.startAcquirer(); // quick again, for the keys that recovery has to finish
  testbed.calm();
  return { faults: offsets.length, findings: findings.flat() };
}

async function skewBy(
  hours: number,
  testbed: Testbed,
  run: Run,
  library: string,
): Promise<Finding[]> {
  const [right] = testbed.servers;
  if (!right) throw new Error('There is no server whose clock is right.');
  const wrong = await testbed.startFailingServer({
    LD_PRELOAD: library,
    FAKETIME: `${hours > 0 ? '+' : ''}${hours}h`,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  });
  const findings = await clockOf(wrong, hours);
  for (let round = 0; round < (run.long ? 50 : 1); round += 1) {
    const decisions = [
      decide(testbed, right, wrong, `${hours} h`),
      decide(testbed, right, wrong, `${hours} h`),
      decide(testbed, wrong, right, `${hours} h`),
      decide(testbed, wrong, right, `${hours} h`),
    ];
    findings.push(...(await Promise.all(decisions)).flat());
  }
  // The other server finishes the keys that it leaves unfinished.
  const left = [1, 2, 3].map(() => testbed.clients.once(testbed.clients.payment(), wrong.url));
  await pause(REMOTE_MS / 2);
  await wrong.kill9();
  await Promise.all(left);
  run.say(
    `${hours} hours: ${findings.length === 0 ? 'decided as' : 'NOT as'} where the clock is right`,
  );
  return findings;
}

/** A copy of a request in flight must be refused, and a copy of a finished one replayed. */
async function decide(
  testbed: Testbed,
  first: RunningServer,
  second: RunningServer,
  where: string,
): Promise<Finding[]> {
  const { clients } = testbed;
  const findings: Finding[] = [];
  for (let tries = 1; ; tries += 1) {
    const intended = clients.payment();
    let done = false;
    const paid = clients.retryUntilFinal(intended, { server: first.url }).then(() => (done = true));
    await eventually('the payment is with the acquirer', async () => {
      const sql = 'SELECT 1 FROM idempotency_keys WHERE key = $1 AND status IS NULL';
      return done || (await testbed.ask(sql, [intended.order.key])).length === 1;
    });
    const copy = await clients.once(intended, second.url);
    const refused = copy.res?.status === 409;
    const tooLate = !refused && done;
    await paid;
    // On a slow machine the request may finish before its copy arrives, which says nothing about the clock.
    if (tooLate && tries < MAX_TRIES) continue;
    if (!refused) {
      const what = `${where}: a copy of a request in flight got ${copy.res?.status ?? copy.failure}`;
      findings.push({ rule: 'clock', what });
    }
    const replay = await clients.once(intended, second.url);
    if (replay.res?.headers['idempotent-replayed'] !== 'true') {
      findings.push({
        rule: 'clock',
        what: `${where}: a copy of a finished request was not replayed`,
      });
    }
    return findings;
  }
}

/** Checks that the process has the clock it was given, by the header Date of its responses. */
async function clockOf({ url }: RunningServer, offset: number): Promise<Finding[]> {
  const { headers } = await fetch(`${url}/health`);
  const fastMs = Date.parse(headers.get('date') ?? '') - Date.now();
  if (Math.abs(fastMs - offset * HOUR_MS) < 60_000) return [];
  return [{ rule: 'fault', what: `its clock is ${fastMs} ms fast, not ${offset} hours` }];
}

/** Finds the library where Debian and its derivatives install it. */
function faketime(): string | undefined {
  return readdirSync('/usr/lib')
    .map((folder) => join('/usr/lib', folder, 'faketime', 'libfaketimeMT.so.1'))
    .find((file) => existsSync(file));
}
