/** Processes that are frozen past their lease, while others finish their work, and then continue. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import type { RunningServer } from '../support/server';
import { intentOf, type Sent, type IntendedRequest } from './clients';
import { inTestbed, type Run, type Scenario, type ScenarioResult } from './scenario';
import type { Finding, Testbed } from './testbed';

/** The fail points where a process freezes itself. */
const STEPS = ['after_claim', 'after_remote', 'before_finish'] as const;
/** How long a process stays frozen after its lease has expired, ms. */
const BEYOND_LEASE_MS = 1_000;
/** How long the acquirer takes, ms: enough to freeze the process meanwhile. */
const REMOTE_MS = 500;

export const frozen: Scenario = {
  name: 'frozen',
  about:
    'a process is frozen with SIGSTOP past its lease, in and around the remote call, and goes on',
  run: (run) =>
    inTestbed(
      run,
      {
        acquirer: { latencyMs: REMOTE_MS },
        env: { IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: '2000' },
      },
      (testbed) => freezeAround(testbed, run),
    ),
};

async function freezeAround(testbed: Testbed, { bug, long, say }: Run): Promise<ScenarioResult> {
  const cycles = bug ? 0 : long ? 50 : 1; // of four frozen processes each
  const findings: Finding[] = [];
  let fenced = 0;
  for (let cycle = 1; cycle <= cycles; cycle += 1) {
    const outcomes = await Promise.all([
      ...STEPS.map((step) => freezeAtStep(testbed, step)),
      freezeInCall(testbed),
    ]);
    for (const outcome of outcomes) {
      fenced += outcome.fenced;
      findings.push(...outcome.findings);
    }
    say(`${cycle * outcomes.length} of ${cycles * outcomes.length} processes frozen and woken`);
  }
  findings.push(...(await flip(testbed)));
  return { faults: cycles * 4 + 1, findings, notes: [`${fenced} late attempts were fenced`] };
}

interface Frozen {
  /** Late attempts that sent the winner's response, or 409. */
  readonly fenced: number;
  readonly findings: readonly Finding[];
}

/** A frozen process, and the requests that it holds. */
interface Freeze {
  readonly server: RunningServer;
  readonly where: string;
  readonly intendedRequests: readonly IntendedRequest[];
  readonly late: readonly Promise<Sent>[];
}

/** The process freezes itself at a step; another one finishes; the late write must change nothing. */
async function freezeAtStep(testbed: Testbed, step: string): Promise<Frozen> {
  const server = await testbed.startFailingServer({ FAILPOINT: step, FAILPOINT_SIGNAL: 'SIGSTOP' });
  const intended = testbed.clients.payment();
  const late = testbed.clients.once(intended, server.url, { requestMs: 60_000 });
  await eventually(`${step}: the process freezes`, () => isStopped(server));
  return thaw(testbed, { server, where: step, intendedRequests: [intended], late: [late] });
}

/** Freezes a process during several calls to the acquirer. */
async function freezeInCall(testbed: Testbed): Promise<Frozen> {
  for (;;) {
    const server = await testbed.startFailingServer();
    const intendedRequests = Array.from({ length: 4 }, () => testbed.clients.payment());
    const late = intendedRequests.map((intended) =>
      testbed.clients.once(intended, server.url, { requestMs: 60_000 }),
    );
    let isAnyDone = false;
    void Promise.any(late).then(() => (isAnyDone = true));
    const areAllInFlight = async () =>
      (await countInFlight(testbed, intendedRequests)) === intendedRequests.length;
    await eventually(
      'all are with the acquirer',
      async () => isAnyDone || (await areAllInFlight()),
    );
    server.process.kill('SIGSTOP');
    await eventually('the process freezes', () => isStopped(server));
    if (await areAllInFlight())
      return thaw(testbed, { server, where: 'in the remote call', intendedRequests, late });
    await server.kill9(); // the machine was too slow: some calls had ended by then
  }
}

/** Counts those that are claimed and not finished. */
async function countInFlight(
  testbed: Testbed,
  intendedRequests: readonly IntendedRequest[],
): Promise<number> {
  const sql = 'SELECT 1 FROM idempotency_keys WHERE key = ANY($1::text[]) AND status IS NULL';
  return (await testbed.ask(sql, [intendedRequests.map(({ order }) => order.key)])).length;
}

async function thaw(
  testbed: Testbed,
  { server, where, intendedRequests, late }: Freeze,
): Promise<Frozen> {
  const patience = { headers: { prefer: 'wait=5' } };
  const frozenMs = performance.now();
  await Promise.all(
    intendedRequests.map((intended) => testbed.clients.retryUntilFinal(intended, patience)),
  );
  await pause(Math.max(0, frozenMs + testbed.leaseMs + BEYOND_LEASE_MS - performance.now()));
  const before = await rowsOf(testbed, intendedRequests);
  server.process.kill('SIGCONT');
  const responses = await Promise.all(late);
  const findings: Finding[] = [];
  if ((await rowsOf(testbed, intendedRequests)) !== before) {
    findings.push({ rule: 'fence', what: `rows changed after it was woken: ${where}` });
  }
  const fenced = responses.filter(({ res }) => {
    if (!res) return false;
    return res.status === 409 || res.headers['idempotent-replayed'] === 'true';
  }).length;
  for (const { res, failure } of responses) {
    const own = res?.status === 200 && res.headers['idempotent-replayed'] !== 'true';
    if (own) findings.push({ rule: 'fence', what: `it sent its own response: ${where}` });
    if (failure)
      findings.push({ rule: 'fence', what: `it sent no response (${failure}): ${where}` });
  }
  await server.kill9();
  return { fenced, findings };
}

/**
 * A late write that would change another operation. A first confirm freezes with an outcome that asks the buyer
 * to authenticate, and is recovered. A second confirm of the same payment is with the acquirer when the first
 * continues and writes.
 */
async function flip(testbed: Testbed): Promise<Finding[]> {
  const { clients } = testbed;
  const opened = clients.opening();
  const id = intentOf(await clients.retryUntilFinal(opened)) ?? '';
  const server = await testbed.startFailingServer({
    FAILPOINT: 'after_remote',
    FAILPOINT_SIGNAL: 'SIGSTOP',
  });
  const asking = { payment_method: 'pm_card_authenticationRequired' };
  const first = clients.confirmation(opened, id, asking);
  const late = clients.once(first, server.url, { requestMs: 60_000 });
  await eventually('the first confirm freezes', () => isStopped(server));
  await clients.retryUntilFinal(first, { headers: { prefer: 'wait=5' } });
  const second = clients.confirmation(opened, id, { payment_method: 'pm_card_visa' });
  const paid = clients.retryUntilFinal(second, { allMs: testbed.patienceMs });
  await eventually(
    'the second confirm is with the acquirer',
    async () => (await countInFlight(testbed, [second])) === 1,
  );
  server.process.kill('SIGCONT');
  await late;
  await server.kill9();
  const status = (JSON.parse((await paid)?.body ?? '{}') as { status?: string }).status;
  return status === 'succeeded'
    ? []
    : [{ rule: 'fence', what: `the second confirm ended ${status ?? 'without a response'}` }];
}

/** Reads the rows of these payments and their keys, as text. */
async function rowsOf(
  testbed: Testbed,
  intendedRequests: readonly IntendedRequest[],
): Promise<string> {
  const keys = intendedRequests.map(({ order }) => order.key);
  const amounts = intendedRequests.map(({ order }) => order.amount);
  const rows = await testbed.ask(
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
