/** Processes that stop past their lease, while others finish their work, and then go on. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import type { RunningServer } from '../support/server';
import { intentOf, type Sent, type Wish } from './clients';
import { inWorld, type Run, type Scenario, type Told } from './scenario';
import type { Finding, World } from './world';

/** Where a process freezes by itself. */
const STEPS = ['after_claim', 'after_remote', 'before_finish'] as const;
/** More than the lease, and than an idle transaction may last. */
const BEYOND_LEASE_MS = 1_000;
/** How long the acquirer takes: time enough to freeze in the middle. */
const REMOTE_MS = 500;

export const frozen: Scenario = {
  name: 'frozen',
  about:
    'a process is frozen with SIGSTOP past its lease, in and around the remote call, and goes on',
  run: (run) =>
    inWorld(
      run,
      {
        acquirer: { latencyMs: REMOTE_MS },
        env: { IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: '2000' },
      },
      (world) => freezeAround(world, run),
    ),
};

async function freezeAround(world: World, { bug, long, say }: Run): Promise<Told> {
  const cycles = bug ? 0 : long ? 50 : 1; // of four frozen processes each
  const findings: Finding[] = [];
  let fenced = 0;
  for (let cycle = 1; cycle <= cycles; cycle += 1) {
    const outcomes = await Promise.all([
      ...STEPS.map((step) => freezeAtStep(world, step)),
      freezeInCall(world),
    ]);
    for (const outcome of outcomes) {
      fenced += outcome.fenced;
      findings.push(...outcome.findings);
    }
    say(`${cycle * outcomes.length} of ${cycles * outcomes.length} processes frozen and woken`);
  }
  findings.push(...(await flip(world)));
  return { faults: cycles * 4 + 1, findings, notes: [`${fenced} late attempts were fenced`] };
}

interface Frozen {
  /** Late attempts that answered with the winner's answer, or that somebody else owns the key. */
  readonly fenced: number;
  readonly findings: readonly Finding[];
}

/** Freezes itself at a step; another finishes; its late write must change nothing. */
async function freezeAtStep(world: World, step: string): Promise<Frozen> {
  const server = await world.startDoomed({ FAILPOINT: step, FAILPOINT_SIGNAL: 'SIGSTOP' });
  const wish = world.clients.payment();
  const late = world.clients.once(wish, server.url, { requestMs: 60_000 });
  await eventually(`${step}: the process freezes`, () => isStopped(server));
  return thaw(world, server, step, [wish], [late]);
}

/** Frozen from outside, in the middle of several calls to the acquirer. */
async function freezeInCall(world: World): Promise<Frozen> {
  for (;;) {
    const server = await world.startDoomed();
    const wishes = Array.from({ length: 4 }, () => world.clients.payment());
    const late = wishes.map((wish) => world.clients.once(wish, server.url, { requestMs: 60_000 }));
    let answered = false;
    void Promise.any(late).then(() => (answered = true));
    const allUnderWay = async () => (await underWay(world, wishes)) === wishes.length;
    await eventually('all are with the acquirer', async () => answered || (await allUnderWay()));
    server.process.kill('SIGSTOP');
    await eventually('the process freezes', () => isStopped(server));
    if (await allUnderWay()) return thaw(world, server, 'in the remote call', wishes, late);
    await server.kill9(); // the machine was too slow: some had been answered by then
  }
}

/** How many of these have been claimed, and not finished yet. */
async function underWay(world: World, wishes: readonly Wish[]): Promise<number> {
  const sql = 'SELECT 1 FROM idempotency_keys WHERE key = ANY($1::text[]) AND status IS NULL';
  return (await world.ask(sql, [wishes.map(({ order }) => order.key)])).length;
}

async function thaw(
  world: World,
  server: RunningServer,
  where: string,
  wishes: readonly Wish[],
  late: readonly Promise<Sent>[],
): Promise<Frozen> {
  const patience = { headers: { prefer: 'wait=5' } };
  const frozenMs = performance.now();
  await Promise.all(wishes.map((wish) => world.clients.insist(wish, patience)));
  await pause(Math.max(0, frozenMs + world.leaseMs + BEYOND_LEASE_MS - performance.now()));
  const before = await rowsOf(world, wishes);
  server.process.kill('SIGCONT');
  const answers = await Promise.all(late);
  const findings: Finding[] = [];
  if ((await rowsOf(world, wishes)) !== before) {
    findings.push({ rule: 'fence', what: `rows changed after it was woken: ${where}` });
  }
  const fenced = answers.filter(({ answer }) => {
    if (!answer) return false;
    return answer.status === 409 || answer.headers['idempotent-replayed'] === 'true';
  }).length;
  for (const { answer, failure } of answers) {
    const own = answer?.status === 200 && answer.headers['idempotent-replayed'] !== 'true';
    if (own) findings.push({ rule: 'fence', what: `it answered with its own answer: ${where}` });
    if (failure) findings.push({ rule: 'fence', what: `it did not answer (${failure}): ${where}` });
  }
  await server.kill9();
  return { fenced, findings };
}

/**
 * A late write that would hit another operation: a first confirm freezes with an outcome that asks
 * the buyer to authenticate; it is recovered; a second confirm of the same payment is with the
 * acquirer when the first wakes and writes.
 */
async function flip(world: World): Promise<Finding[]> {
  const { clients } = world;
  const opened = clients.opening();
  const id = intentOf(await clients.insist(opened)) ?? '';
  const server = await world.startDoomed({
    FAILPOINT: 'after_remote',
    FAILPOINT_SIGNAL: 'SIGSTOP',
  });
  const asking = { payment_method: 'pm_card_authenticationRequired' };
  const first = clients.confirmation(opened, id, asking);
  const late = clients.once(first, server.url, { requestMs: 60_000 });
  await eventually('the first confirm freezes', () => isStopped(server));
  await clients.insist(first, { headers: { prefer: 'wait=5' } });
  const second = clients.confirmation(opened, id, { payment_method: 'pm_card_visa' });
  const paid = clients.insist(second, { allMs: world.patienceMs });
  await eventually(
    'the second confirm is with the acquirer',
    async () => (await underWay(world, [second])) === 1,
  );
  server.process.kill('SIGCONT');
  await late;
  await server.kill9();
  const status = (JSON.parse((await paid)?.body ?? '{}') as { status?: string }).status;
  return status === 'succeeded'
    ? []
    : [{ rule: 'fence', what: `the second confirm ended ${status ?? 'without an answer'}` }];
}

/** The rows of some payments and their keys, as text. */
async function rowsOf(world: World, wishes: readonly Wish[]): Promise<string> {
  const keys = wishes.map(({ order }) => order.key);
  const amounts = wishes.map(({ order }) => order.amount);
  const rows = await world.ask(
    `SELECT k::text AS row FROM idempotency_keys k WHERE key = ANY($1::text[])
     UNION ALL SELECT i::text FROM payment_intents i WHERE amount = ANY($2::int[])
     UNION ALL SELECT c::text FROM charges c WHERE amount = ANY($2::int[])
     ORDER BY 1`,
    [keys, amounts],
  );
  return JSON.stringify(rows);
}

function isStopped({ process }: RunningServer): boolean {
  const stat = readFileSync(`/proc/${process.pid}/stat`, 'utf8');
  return /^\d+ \(.*\) T/.test(stat);
}
