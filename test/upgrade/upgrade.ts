/**
 * `npm run test:upgrade`: a data directory that the server of an earlier commit has made and used, and
 * today's server on it. Takes that commit out of git and its packages from the registry, so it is not
 * part of `npm test`. Everything runs on 127.0.0.1.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../../src/embedded-postgres';
import { freshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import globalSetup from '../support/global-setup';
import globalTeardown from '../support/global-teardown';
import { schemaOf } from '../support/schema';
import { killAll, type RunningServer, startServer } from '../support/server';
import { EarlierServer, FIRST_COMMIT, NoHistoryError } from './earlier';
import { AMOUNTS, charges, past, type Past, withDatabase } from './past';
import { type ReceivedResponse, objectOf, Shop } from './shop';

/** Longer than the lease of what was cut off, and two runs of recovery. */
const RECOVERY_MS = 60_000;
/** Headers that are the same in every replay of a key. */
const REPLAYED_HEADERS = [
  'content-type',
  'idempotency-key',
  'idempotent-replayed',
  'original-request',
];

const started = performance.now();
let passed = 0;
let failed = 0;

function say(text: string): void {
  const seconds = ((performance.now() - started) / 1_000).toFixed(1).padStart(5);
  process.stdout.write(`${seconds} s  ${text}\n`);
}

/** Goes on after a failure: later checks help to explain it. */
async function check(sentence: string, body: () => Promise<void>): Promise<void> {
  try {
    await body();
    passed += 1;
    say(`passed: ${sentence}`);
  } catch (error) {
    failed += 1;
    say(`FAILED: ${sentence}\n${describeError(error)}`);
  }
}

const home = mkdtempSync(join(tmpdir(), 'paidonce-upgrade-'));
// PostgreSQL may run as another user than root.
chmodSync(home, 0o755);
const dataDir = join(home, 'data');

async function main(): Promise<void> {
  const earlier = EarlierServer.install(FIRST_COMMIT, join(home, 'earlier'), say);
  say('compiles what is here');
  await globalSetup();
  say('makes a data directory with it: customers, payments, refunds, a key cut off by kill -9');
  const before = await past(earlier, dataDir);
  say("starts today's server on it, beside an earlier one that still runs");
  const server = await startServer({ env: { DATA_DIR: dataDir } });
  await whileBothRun(before, server);
  await sameAsBefore(before, server);
  await newOnOld(before, server);
  await cutOffIsFinished(before, server);
  await withDatabase(dataDir, (database) => sameSchema(database));
  await check('it has nothing to complain of, stops, and starts again by itself', async () => {
    assert.equal(server.program.stderr, '');
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    assert.ok(!existsSync(join(dataDir, 'postgres', 'postmaster.pid')), 'PostgreSQL still runs');
    const next = await startServer({ env: { DATA_DIR: dataDir } });
    const shop = new Shop(next.url, before.sandbox.apiKey);
    assert.equal(objectOf(await shop.get(`/v1/customers/${before.customer}`)).id, before.customer);
    assert.deepEqual(await next.stop(), { code: 0, signal: null });
  });
}

async function whileBothRun(before: Past, server: RunningServer): Promise<void> {
  const { left, sandbox, other } = before;
  await check('the earlier server that still runs goes on taking payments', async () => {
    // Its connections were ended: what was on one of them is to be sent again, and no more than that.
    for (const turn of [1, 2, 3]) {
      let last: ReceivedResponse | undefined;
      await eventually('a payment is taken', async () => {
        last = (await sandbox.pay(`beside-${turn}`, AMOUNTS.left)).received;
        assert.ok([200, 503].includes(last.status), last.body);
        return last.status === 200;
      });
      objectOf(await sandbox.get('/v1/payment_intents?limit=1'));
    }
    // As many as there were orders, before and after.
    assert.equal(await withDatabase(dataDir, (client) => charges(client, AMOUNTS.left)), 6);
  });
  await left.program.stop();
  sandbox.url = server.url;
  other.url = server.url;
}

async function sameAsBefore({ sandbox, other, replays, reads }: Past, server: RunningServer) {
  await check(
    'the API keys still work, the one in the data directory and one by `npm run keys`',
    async () => {
      assert.equal(server.apiKey, sandbox.apiKey);
      const { data } = objectOf(await other.get('/v1/customers')) as unknown as { data: unknown[] };
      assert.equal(data.length, 1);
    },
  );
  await check(`${reads.size} objects, lists and keys read byte for byte as before`, async () => {
    for (const [path, before] of reads) {
      const now = await sandbox.get(path);
      assert.deepEqual(
        [path, now.status, withoutLink(now.body)],
        [path, before.status, before.body],
      );
    }
  });
  await check(
    `${replays.length} requests under their old keys are replayed byte for byte`,
    async () => {
      const headers = (res: ReceivedResponse) =>
        REPLAYED_HEADERS.map((name) => `${name}: ${res.headers.get(name)}`);
      for (const { sent, replay } of replays) {
        const now = await sandbox.again(sent);
        assert.equal(now.headers.get('idempotent-replayed'), 'true', sent.key);
        assert.deepEqual(
          [sent.key, now.status, now.body],
          [sent.key, sent.received.status, sent.received.body],
        );
        assert.deepEqual(headers(now), headers(replay));
      }
    },
  );
  await check('an old key with another amount is refused by its name', async () => {
    const { received } = await sandbox.pay('paid', AMOUNTS.paid + 1);
    assert.ok(received.status >= 400 && received.body.includes('amount'), received.body);
  });
}

async function newOnOld(before: Past, server: RunningServer): Promise<void> {
  const { sandbox, customer, paymentMethod, paid, authorised } = before;
  await check('an old authorisation is captured', async () => {
    const { received } = await sandbox.post('capture', `/v1/payment_intents/${authorised}/capture`);
    assert.equal(objectOf(received).amount_received, AMOUNTS.authorised);
  });
  await check('what is left of an old payment is refunded, and no more', async () => {
    const left = await sandbox.post('rest', '/v1/refunds', { payment_intent: paid });
    assert.equal(objectOf(left.received).amount, AMOUNTS.paid - AMOUNTS.refunded);
    const more = await sandbox.post('more', '/v1/refunds', { payment_intent: paid });
    assert.equal(more.received.status, 400, more.received.body);
  });
  await check('an old customer pays with an old payment method, and is refunded', async () => {
    const fields = { customer, payment_method: paymentMethod };
    const intent = objectOf((await sandbox.pay('new', 1200, fields)).received);
    const { received } = await sandbox.post('new-refund', '/v1/refunds', {
      payment_intent: intent.id,
    });
    assert.equal(objectOf(received).status, 'succeeded');
    const path = `/v1/payment_intents?customer=${customer}`;
    const { data } = objectOf(await sandbox.get(path)) as unknown as { data: { id: string }[] };
    const ids = data.map(({ id }) => id);
    assert.deepEqual(
      [ids[0], ids.includes(paid), ids.includes(authorised)],
      [intent.id, true, true],
    );
  });
  await check('old keys and new objects of one account are not seen by the other', async () => {
    const stranger = await fetch(`${server.url}/v1/payment_intents/${paid}`, {
      headers: { authorization: `Bearer ${before.other.apiKey}` },
    });
    assert.equal(stranger.status, 404);
    assert.equal((await before.other.get('/v1/idempotency_keys/paid')).status, 404);
  });
}

async function cutOffIsFinished(
  { sandbox, unfinished }: Past,
  server: RunningServer,
): Promise<void> {
  await check(
    'the payment that was cut off is finished by recovery, and charged once',
    async () => {
      const path = `/v1/idempotency_keys/${unfinished.key}`;
      await eventually(
        'recovery finishes the key',
        async () => objectOf(await sandbox.get(path)).state === 'finished',
        RECOVERY_MS,
      );
      const replay = await sandbox.again(unfinished);
      const intent = objectOf(replay);
      assert.equal(replay.headers.get('idempotent-replayed'), 'true');
      assert.deepEqual([intent.status, intent.amount_received], ['succeeded', AMOUNTS.unfinished]);
      const { data } = objectOf(
        await sandbox.get(`/v1/charges?payment_intent=${intent.id}`),
      ) as unknown as { data: unknown[] };
      assert.equal(data.length, 1);
      assert.equal(await withDatabase(dataDir, (client) => charges(client, AMOUNTS.unfinished)), 1);
      assert.equal((await fetch(`${server.url}/health`)).status, 200);
    },
  );
}

async function sameSchema(database: Client): Promise<void> {
  const fresh = await freshDatabase();
  // All that a server makes when it starts, in every schema.
  await (await startServer({ databaseUrl: fresh.url })).stop();
  const other = new Client({ connectionString: fresh.url });
  await other.connect();
  await check('the schema is that of a fresh database', async () => {
    const rows = (client: Client) => async (sql: string) =>
      (await client.query<{ line: string }>(sql)).rows;
    const names = (client: Client) =>
      rows(client)(`
        SELECT nspname AS line FROM pg_namespace
        WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%' ORDER BY 1`);
    const schemas = await names(other);
    assert.deepEqual(await names(database), schemas);
    const all = schemas.map(({ line }) => line);
    const wanted = await schemaOf(rows(other), all);
    assert.ok(wanted.length > 200, `only ${wanted.length} lines`);
    assert.deepEqual(await schemaOf(rows(database), all), wanted);
    const accounts = wanted.filter((line) => /^column \S+\.account /.test(line));
    assert.deepEqual(
      accounts.filter((line) => !line.includes(' COLLATE C ')),
      [],
    );
    const steps = 'SELECT name AS line FROM migrations ORDER BY id';
    assert.deepEqual(await rows(database)(steps), await rows(other)(steps));
  });
  await other.end();
  await fresh.drop();
}

/** Ends what was started, and nothing else. */
async function cleanUp(): Promise<void> {
  await killAll();
  if (existsSync(join(dataDir, 'postgres')))
    await (await startEmbeddedPostgres({ dataDir })).stop();
  await globalTeardown();
  rmSync(home, { recursive: true, force: true });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void cleanUp().then(() => process.exit(130)));
}

async function run(): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (error instanceof NoHistoryError && process.env.CI !== 'true') {
      say(`skipped: ${error.message}`);
    } else {
      failed += 1;
      say(`FAILED: it could not be carried out.\n${describeError(error)}`);
    }
  }
  await cleanUp().catch((error: unknown) => {
    failed += 1;
    say(`FAILED: what was started could not be ended.\n${describeError(error)}`);
  });
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exit(failed === 0 ? 0 : 1);
}

/** Errors of 0.1.0 have no link to the page that explains them. */
const withoutLink = (body: string): string => body.replace(/"doc_url":"[^"]*",/, '');

const describeError = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

void run();
