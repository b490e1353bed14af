/**
 * What a key costs PostgreSQL: the statements of an atomic operation by pgbench, against its INSERT
 * alone by pgbench. No HTTP and no Node.js. In three round trips, since a handler may begin only when
 * its key is known to be free and its response is there only when it has ended; and in one, which is the
 * part of the statements alone.
 */
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { DatabaseClock } from '../src/idempotency/store/database-clock';
import { newFence } from '../src/idempotency/store/fence';
import type { KeyStore } from '../src/idempotency/store/key.store';
import { joinAmbientTransaction } from '../src/idempotency/store/postgres/ambient-transaction';
import { PostgresKeyStore } from '../src/idempotency/store/postgres/postgres-key.store';
import { type Extent, median, perSecond, ratioOf, type Row } from './figures';
import { paymentBody } from './keys';
import { findPgbench, pgbench, statementsOf } from './pgbench';
import type { Stage } from './stage';

const INSERT = 'INSERT INTO orders (id, amount, description) VALUES ($1, $2, $3)';

export async function measureFloor(stage: Stage, extent: Extent): Promise<Row[]> {
  const program = findPgbench();
  if (program === undefined) {
    extent.say('floor: skipped, there is no pgbench on the PATH');
    return [];
  }
  await (await stage.start()).stop(); // makes the tables
  const statements = await statementsOf(() => oneOperation(stage.databaseUrl));
  const key = statements.filter(({ text }) => /^(BEGIN|COMMIT)$|idempotency|orders/.test(text));
  const insert = key.filter(({ text }) => text === INSERT);
  const at = key.findIndex(({ text }) => text === INSERT);
  const ways = {
    together: [key],
    interactive: [key.slice(0, at), insert, key.slice(at + 1)],
    insert: [insert],
  };
  const rates: Record<keyof typeof ways, number[]> = { together: [], interactive: [], insert: [] };
  for (let round = 0; round < extent.rounds; round += 1) {
    for (const [way, trips] of Object.entries(ways)) {
      const rate = await pgbench(program, trips, stage.databaseUrl, extent.seconds);
      rates[way as keyof typeof ways].push(rate);
    }
  }
  const row = (way: keyof typeof ways, how: string): Row => {
    const ratio = ratioOf(rates[way], rates.insert);
    extent.say(`floor, ${how}: ${ratio.median.toFixed(2)} of one INSERT`);
    return {
      case: `PostgreSQL alone, a key's statements ${how}`,
      against: 'its INSERT alone, by pgbench',
      ours: perSecond(median(rates[way])),
      theirs: perSecond(median(rates.insert)),
      ratio,
      goal: 'none',
      reached: true,
    };
  };
  return [row('interactive', 'in three round trips'), row('together', 'in one round trip')];
}

/** What an atomic operation with one INSERT sends, without the rest of the product. */
async function oneOperation(url: string): Promise<void> {
  const extra = { max: 1, pipeline: true };
  const dataSource = await new DataSource({ type: 'postgres', url, extra }).initialize();
  joinAmbientTransaction(dataSource);
  const store: KeyStore = new PostgresKeyStore(dataSource, 10_000, new DatabaseClock());
  const id = { account: 'bench', mode: '', key: 'pgbench-captured' };
  const request = {
    operation: 'POST /ours/named',
    fingerprint: { version: 1, hash: '0a'.repeat(32) },
    parameters: '{"(path)":"0a1b2c3d","amount":"4e5f6a7b"}',
    originalRequest: randomUUID(),
    ttlSeconds: 86_400,
  };
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  const storedResponse = { status: 201, headers, body: JSON.stringify(paymentBody()) };
  const { transaction } = await store.open(id);
  await transaction.run(() => dataSource.query(INSERT, [randomUUID(), 2000, 'x'.repeat(500)]));
  await store.finishNew(transaction, { id, fence: newFence(), request, storedResponse });
  await dataSource.destroy();
}
