/**
 * One process whose clock is wrong, beside one whose clock is right: it must decide as the other does,
 * by the database's clock (R5).
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import type { RunningServer } from '../support/server';
import { inWorld, type Run, type Scenario, Skipped, type Told } from './scenario';
import type { Finding, World } from './world';

/** Hours that the clock is fast; a key lives for 24, a lease for 8.5 seconds. */
const OFFSETS_H = [1, -1, 48, -48];
const HOUR_MS = 3_600_000;
/** How long the acquirer takes: time enough to send a copy meanwhile. */
const REMOTE_MS = 2_000;
/** How often a copy may come too late. */
const MAX_TRIES = 10;

export const clock: Scenario = {
  name: 'clock',
  about: 'a process whose clock is 1 or 48 hours fast or slow, beside one whose clock is right',
  run: (run) => {
    const library = faketime();
    if (library === undefined) throw new Skipped('there is no libfaketime');
    const env = { PURGE_INTERVAL_SECONDS: '1' }; // it would remove what it took for expired
    const options = { acquirer: { latencyMs: REMOTE_MS }, remoteDeadlineMs: 3_500, env };
    return inWorld(run, options, (world) => skew(world, run, library));
  },
};

async function skew(world: World, run: Run, library: string): Promise<Told> {
  const offsets = run.bug ? [48] : OFFSETS_H;
  const findings = await Promise.all(offsets.map((hours) => skewBy(hours, world, run, library)));
  await world.startAcquirer(); // quick again, for what recovery has to finish
  world.calm();
  return { faults: offsets.length, findings: findings.flat() };
}

async function skewBy(hours: number, world: World, run: Run, library: string): Promise<Finding[]> {
  const [right] = world.servers;
  if (!right) throw new Error('There is no server whose clock is right.');
  const wrong = await world.startDoomed({
    LD_PRELOAD: library,
    FAKETIME: `${hours > 0 ? '+' : ''}${hours}h`,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  });
  const findings = await clockOf(wrong, hours);
  for (let round = 0; round < (run.long ? 50 : 1); round += 1) {
    const decisions = [
      decide(world, right, wrong, `${hours} h`),
      decide(world, right, wrong, `${hours} h`),
      decide(world, wrong, right, `${hours} h`),
      decide(world, wrong, right, `${hours} h`),
    ];
    findings.push(...(await Promise.all(decisions)).flat());
  }
  // What it leaves behind, others finish.
  const left = [1, 2, 3].map(() => world.clients.once(world.clients.payment(), wrong.url));
  await pause(REMOTE_MS / 2);
  await wrong.kill9();
  await Promise.all(left);
  run.say(
    `${hours} hours: ${findings.length === 0 ? 'decided as' : 'NOT as'} where the clock is right`,
  );
  return findings;
}

/** A copy of a request that is under way is refused, and one of a request that is done is replayed. */
async function decide(
  world: World,
  first: RunningServer,
  second: RunningServer,
  where: string,
): Promise<Finding[]> {
  const { clients } = world;
  const findings: Finding[] = [];
  for (let tries = 1; ; tries += 1) {
    const wish = clients.payment();
    let done = false;
    const paid = clients.insist(wish, { server: first.url }).then(() => (done = true));
    await eventually('the payment is with the acquirer', async () => {
      const sql = 'SELECT 1 FROM idempotency_keys WHERE key = $1 AND status IS NULL';
      return done || (await world.ask(sql, [wish.order.key])).length === 1;
    });
    const copy = await clients.once(wish, second.url);
    const refused = copy.answer?.status === 409;
    const tooLate = !refused && done;
    await paid;
    // On a slow machine it may be done before its copy is there, which says nothing of the clock.
    if (tooLate && tries < MAX_TRIES) continue;
    if (!refused) {
      const what = `${where}: a copy of what is under way got ${copy.answer?.status ?? copy.failure}`;
      findings.push({ rule: 'clock', what });
    }
    const replay = await clients.once(wish, second.url);
    if (replay.answer?.headers['idempotent-replayed'] !== 'true') {
      findings.push({ rule: 'clock', what: `${where}: a copy of what is done was not replayed` });
    }
    return findings;
  }
}

/** Whether the process has the clock that it was given: by the header Date of its answers. */
async function clockOf({ url }: RunningServer, offset: number): Promise<Finding[]> {
  const { headers } = await fetch(`${url}/health`);
  const fastMs = Date.parse(headers.get('date') ?? '') - Date.now();
  if (Math.abs(fastMs - offset * HOUR_MS) < 60_000) return [];
  return [{ rule: 'fault', what: `its clock is ${fastMs} ms fast, not ${offset} hours` }];
}

/** Where Debian and its like put the library. */
function faketime(): string | undefined {
  return readdirSync('/usr/lib')
    .map((folder) => join('/usr/lib', folder, 'faketime', 'libfaketimeMT.so.1'))
    .find((file) => existsSync(file));
}
