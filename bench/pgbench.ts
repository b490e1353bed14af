/** pgbench, doing what the product does: the statements that it sent, with new ids each time. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';

/** More would be of no use to two cores, and our pool has as many. */
const CLIENTS = 8;

export interface Statement {
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** Listens to what this process sends while `work` goes on. */
export async function statementsOf(work: () => Promise<unknown>): Promise<Statement[]> {
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
    await work();
  } finally {
    Client.prototype.query = query;
  }
  return statements;
}

/** Statements that go to PostgreSQL together, and whose results come together. */
export type RoundTrip = readonly Statement[];

/** Each transaction in one round trip. */
export function inTransactions(statements: readonly Statement[]): RoundTrip[] {
  const trips: Statement[][] = [];
  let open = false;
  for (const statement of statements) {
    if (open) trips.at(-1)?.push(statement);
    else trips.push([statement]);
    open = statement.text === 'BEGIN' || (open && statement.text !== 'COMMIT');
  }
  return trips;
}

/** Does `trips` again and again. @returns how often in a second */
export async function pgbench(
  program: string,
  trips: readonly RoundTrip[],
  url: string,
  seconds: number,
): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'paidonce-bench-'));
  try {
    const script = join(directory, 'script.sql');
    writeFileSync(script, scriptOf(trips));
    return await run(program, script, url, seconds);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Ids that must be new with each payment: what they begin with stays, the rest is `:n`. */
const OURS = /^(pi_|pm_|ch_|acq_)|^pgbench-captured$|^[0-9a-f]{40}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

function scriptOf(trips: readonly RoundTrip[]): string {
  const lines = trips.flatMap((trip) => {
    const statements = trip.map(({ text, values = [] }) => {
      const sql = text
        .replace(/\s+/g, ' ')
        .replace(/\$(\d+)/g, (_match, at: string) => literal(values[Number(at) - 1], text));
      return `${sql};`;
    });
    return trip.length === 1 ? statements : ['\\startpipeline', ...statements, '\\endpipeline'];
  });
  return ['\\set n random(1, 9000000000000000000)', ...lines].join('\n');
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

async function run(program: string, script: string, url: string, seconds: number) {
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
  const { stdout } = await promisify(execFile)(program, args);
  const rate = Number(/tps = ([\d.]+)/.exec(stdout)?.[1]);
  const failed = Number(/number of failed transactions: (\d+)/.exec(stdout)?.[1] ?? 0);
  if (!(rate > 0) || failed > 0) throw new Error(`pgbench said:\n${stdout}`);
  return rate;
}

/** Debian keeps it beside the server's programs. */
export function findPgbench(): string | undefined {
  if (spawnSync('pgbench', ['--version']).status === 0) return 'pgbench';
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return undefined;
  return readdirSync(root)
    .map((version) => join(root, version, 'bin', 'pgbench'))
    .findLast((path) => existsSync(path));
}
