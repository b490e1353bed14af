/**
 * A payment, phased, through the whole product, against pgbench doing the same three commits: the
 * statements are those that the product sent for one payment, with new ids each time.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { startApp } from '../test/support/app';
import { startServer } from '../test/support/server';
import { type Extent, median, perSecond, ratioOf, type Row } from './figures';
import type { Stage } from './stage';

const GOAL = 0.35;
const PAYMENT = 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true';
/** pgbench has no more use for than there are cores, and our pool has this many. */
const CLIENTS = 8;

export async function measurePayments(stage: Stage, extent: Extent): Promise<Row[]> {
  const pgbench = findPgbench();
  if (pgbench === undefined) {
    extent.say('payments: skipped, there is no pgbench on the PATH');
    return [];
  }
  const server = await startServer({
    databaseUrl: stage.databaseUrl,
    env: { JOBS: 'off', IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0' },
  });
  const directory = mkdtempSync(join(tmpdir(), 'paidonce-bench-'));
  try {
    const script = join(directory, 'payment.sql');
    writeFileSync(script, scriptOf(await statementsOfOnePayment(stage.databaseUrl)));
    const ours = (seconds: number) =>
      stage.send({
        url: `${server.url}/v1/payment_intents`,
        body: PAYMENT,
        headers: {
          authorization: `Bearer ${server.apiKey}`,
          'content-type': 'application/x-www-form-urlencoded',
        },
        key: 'new',
        connections: 32,
        seconds,
      });
    const theirs = (seconds: number) => runPgbench(pgbench, script, stage.databaseUrl, seconds);
    await ours(extent.quick ? 1 : 10); // the whole product is to be compiled
    await theirs(1);
    const rates: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
    for (let round = 0; round < extent.rounds; round += 1) {
      rates.ours.push((await ours(extent.seconds)).rate);
      rates.theirs.push(await theirs(extent.seconds));
    }
    const ratio = ratioOf(rates.ours, rates.theirs);
    extent.say(`payment: ${ratio.median.toFixed(2)} of pgbench`);
    return [
      {
        case: 'payment, phased, new key',
        against: 'pgbench, the same three commits',
        ours: perSecond(median(rates.ours)),
        theirs: perSecond(median(rates.theirs)),
        ratio,
        goal: `≥ ${GOAL}`,
        reached: ratio.median >= GOAL,
      },
    ];
  } finally {
    await server.stop();
    rmSync(directory, { recursive: true });
  }
}

interface Statement {
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** Listens to what the product sends while it makes one payment. */
async function statementsOfOnePayment(databaseUrl: string): Promise<Statement[]> {
  const app = await startApp({ databaseUrl });
  const pay = (key: string) =>
    fetch(`${app.url}/v1/payment_intents`, {
      method: 'POST',
      headers: { authorization: `Bearer ${app.apiKey}`, 'idempotency-key': key },
      body: new URLSearchParams(PAYMENT),
    }).then(async (answer) => {
      if (answer.status !== 200) throw new Error(await answer.text());
      await answer.arrayBuffer();
    });
  await pay('pgbench-first'); // the API key is looked up once a second at most
  const statements: Statement[] = [];
  // eslint-disable-next-line typescript/unbound-method -- it is put back as it was
  const query = Client.prototype.query;
  Client.prototype.query = function (this: Client, ...args: unknown[]) {
    const [first, second] = args;
    const sent = typeof first === 'string' ? { text: first, values: second } : first;
    const { statements: batch } = sent as { statements?: Statement[] };
    statements.push(...(batch ?? [sent as Statement]));
    return (query as (...given: unknown[]) => unknown).apply(this, args);
  } as typeof query;
  try {
    await pay('pgbench-captured');
  } finally {
    Client.prototype.query = query;
    await app.close();
  }
  return statements;
}

/** Ids that must be new with each payment: what they begin with stays, the rest is `:n`. */
const OURS = /^(pi_|pm_|ch_|acq_)|^pgbench-captured$|^[0-9a-f]{40}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

function scriptOf(statements: readonly Statement[]): string {
  const lines = statements.map(({ text, values = [] }) => {
    const sql = text
      .replace(/\s+/g, ' ')
      .replace(/\$(\d+)/g, (_match, at: string) => literal(values[Number(at) - 1], text));
    return `${sql};`;
  });
  return [
    '\\set n random(1, 9000000000000000000)',
    ...lines.flatMap((line) =>
      line === 'BEGIN;'
        ? ['\\startpipeline', line]
        : line === 'COMMIT;'
          ? [line, '\\endpipeline']
          : [line],
    ),
  ].join('\n');
}

function literal(value: unknown, text: string): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Buffer.isBuffer(value)) return `'\\x${value.toString('hex')}'::bytea`;
  const words = value as string; // pg is handed JSON as text
  if (/advisory/.test(text) && /^-?\d{10,}$/.test(words)) return ':n';
  if (UUID.test(words)) return `md5(:n::text)::uuid`;
  const own = OURS.exec(words);
  const quoted = (part: string) =>
    `'${part.replaceAll("'", "''").replaceAll(':', "'||chr(58)||'")}'`;
  if (own)
    return `(${quoted(own[1] ?? '')} || lpad(:n::text, ${words.length - (own[1] ?? '').length}, '0'))`;
  return /^[[{]/.test(words) ? `(${quoted(words)})::json` : `(${quoted(words)})`;
}

async function runPgbench(pgbench: string, script: string, url: string, seconds: number) {
  const args = [
    '-n',
    '-M',
    'prepared',
    '-f',
    script,
    '-c',
    String(CLIENTS),
    '-j',
    '2',
    '-T',
    String(seconds),
    url,
  ];
  const { stdout } = await promisify(execFile)(pgbench, args);
  const rate = Number(/tps = ([\d.]+)/.exec(stdout)?.[1]);
  const failed = Number(/number of failed transactions: (\d+)/.exec(stdout)?.[1] ?? 0);
  if (!(rate > 0) || failed > 0) throw new Error(`pgbench said:\n${stdout}`);
  return rate;
}

/** Debian keeps it beside the server's programs. */
function findPgbench(): string | undefined {
  if (spawnSync('pgbench', ['--version']).status === 0) return 'pgbench';
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return undefined;
  return readdirSync(root)
    .map((version) => join(root, version, 'bin', 'pgbench'))
    .findLast((path) => existsSync(path));
}
