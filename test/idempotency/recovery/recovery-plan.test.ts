/** R19 the cost of recovery and purge on a table of a million keys grows with the keys they find, not with the table. */
import { DataSource } from 'typeorm';
import { CreateIdempotencyKeys1764000000000 } from '../../../src/idempotency';
import { DatabaseClock } from '../../../src/idempotency/store/database-clock';
import { PostgresKeyStore } from '../../../src/idempotency/store/postgres/postgres-key.store';
import { connected, insertFinished, insertUnfinished } from '../../jobs/keys.fixture';
import { freshDatabase, type FreshDatabase } from '../../support/database';

jest.setTimeout(600_000);

const KEYS = 1_000_000;
const ABANDONED = 50;
/** Of 8 kB each; the table has more than 150,000. */
const FEW_PAGES = 300;

interface Plan {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: Plan[];
}

let database: FreshDatabase;
let dataSource: DataSource;

beforeAll(async () => {
  database = await freshDatabase();
  dataSource = new DataSource({
    type: 'postgres',
    url: database.url,
    migrations: [CreateIdempotencyKeys1764000000000],
  });
  await dataSource.initialize();
  await dataSource.runMigrations();
  const sql = await connected(database.url);
  await sql.query('SET synchronous_commit = off');
  await insertFinished(sql, 'alive', KEYS - 2_000, -3_600);
  await insertFinished(sql, 'expired', 2_000, 60);
  await insertUnfinished(sql, 'running', { count: 500, leaseSecondsAgo: -3_600 });
  await insertUnfinished(sql, 'abandoned', { count: ABANDONED, leaseSecondsAgo: 20 });
  await sql.query('VACUUM ANALYZE idempotency_keys');
  await sql.end();
});
afterAll(async () => {
  await dataSource.destroy();
  await database.drop();
});

/** How PostgreSQL runs the very statement that the store sends, and how often it did. */
async function planOf(ask: (store: PostgresKeyStore) => Promise<unknown>): Promise<Plan> {
  const statements: [string, unknown[]][] = [];
  const client = {
    query: ({ text, values = [] }: { text: string; values?: unknown[] }) => {
      statements.push([text, values]);
      return Promise.resolve({ rows: [{ busy: 0 }], rowCount: 0, command: text, fields: [] });
    },
  };
  const spy = {
    query: (text: string, values: unknown[]) => {
      statements.push([text, values]);
      return Promise.resolve([[], 0]);
    },
    createQueryRunner: () => ({
      connect: () => Promise.resolve(client),
      releasePostgresConnection: () => Promise.resolve(),
    }),
  };
  await ask(new PostgresKeyStore(spy as unknown as DataSource, 1_000, new DatabaseClock())).catch(
    () => undefined,
  );
  const [text, values] = statements.findLast(([sql]) => /idempotency_keys/.test(sql)) ?? ['', []];
  const [row] = await dataSource.query<{ 'QUERY PLAN': [{ Plan: Plan }] }[]>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
    values,
  );
  if (row === undefined) throw new Error('PostgreSQL showed no plan.');
  return row['QUERY PLAN'][0].Plan;
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];
const scans = (plan: Plan) =>
  nodes(plan)
    .filter((node) => /Scan/.test(node['Node Type']))
    .map((node) => node['Index Name'] ?? node['Node Type']);
const pages = (plan: Plan) => plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];

describe(`R19 on ${KEYS} keys`, () => {
  it('abandoned requests are found through the index of unfinished keys alone', async () => {
    const plan = await planOf((store) => store.findAbandoned(200));
    // In the order of the index or of the table: only rows in the index are read.
    expect(scans(plan).filter((scan) => scan !== 'Bitmap Heap Scan')).toEqual([
      'idempotency_keys_lease_until',
    ]);
    expect(plan['Actual Rows']).toBe(ABANDONED);
    expect(pages(plan)).toBeLessThan(FEW_PAGES);
  });

  it('the backlog is counted without reading the table', async () => {
    const plan = await planOf((store) => store.backlog());
    expect(scans(plan)).not.toContain('Seq Scan');
    expect(scans(plan)).toContain('idempotency_keys_lease_until');
    expect(pages(plan)).toBeLessThan(3 * FEW_PAGES);
  });

  it('a batch of the purge reads and removes its own rows', async () => {
    const plan = await planOf((store) => store.purge(1_000));
    expect(scans(plan)).not.toContain('Seq Scan');
    expect(scans(plan)).toContain('idempotency_keys_expires_at');
    // Found, locked and removed: none is looked for a second time.
    expect(scans(plan)).toContain('Tid Scan');
    expect(pages(plan)).toBeLessThan(10 * 1_000);
  });
});
