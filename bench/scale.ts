/** The table when it is large: the same work at 10,000 and at 10,000,000 keys, its size, its purge. */
import { type Extent, median, perSecond, ratioOf, type Row } from './figures';
import type { Served, Stage } from './stage';

const SMALL = 10_000;
/** An answer of this many bytes, as a payments API gives it. */
const ANSWER_BYTES = 600;
const GOAL_BYTES = 820;
const BATCH = 100_000;

export async function measureScale(stage: Stage, extent: Extent): Promise<Row[]> {
  const large = extent.quick ? 20_000 : 10_000_000;
  const served = await stage.start({ REPLAY_MEMORY_BYTES: '0' });
  await load(stage, extent, 0, SMALL);
  const sizes = { small: await bytesPerKey(stage), large: 0 };
  const small = await rates(stage, served, extent);
  await load(stage, extent, SMALL, large);
  sizes.large = await bytesPerKey(stage);
  const full = await rates(stage, served, extent);
  await served.stop();
  const atomic = ratioOf(full.atomic, small.atomic);
  const replay = ratioOf(full.replay, small.replay);
  const counted = large.toLocaleString('en');
  return [
    {
      case: `atomic at ${counted} keys`,
      against: `at ${SMALL.toLocaleString('en')}`,
      ours: perSecond(median(full.atomic)),
      theirs: perSecond(median(small.atomic)),
      ratio: atomic,
      goal: '≥ 0.95',
      reached: atomic.median >= 0.95,
    },
    {
      case: `replay from PostgreSQL at ${counted} keys`,
      against: `at ${SMALL.toLocaleString('en')}`,
      ours: perSecond(median(full.replay)),
      theirs: perSecond(median(small.replay)),
      ratio: replay,
      goal: '≥ 0.95',
      reached: replay.median >= 0.95,
    },
    {
      case: `storage at ${counted} keys, a ${ANSWER_BYTES}-byte answer`,
      against: 'table and indexes',
      ours: `${sizes.large.toFixed(0)} bytes per key`,
      theirs: `${sizes.small.toFixed(0)} at ${SMALL.toLocaleString('en')}`,
      goal: `≤ ${GOAL_BYTES}`,
      reached: sizes.large <= GOAL_BYTES,
    },
  ];
}

async function rates(stage: Stage, { url }: Served, { rounds, seconds }: Extent) {
  const stretch = { url: `${url}/ours/named`, body: '{"amount":1}', connections: 32, seconds };
  const atomic: number[] = [];
  const replay: number[] = [];
  await stage.send({ ...stretch, key: 'new' });
  await stage.send({ ...stretch, key: { one: 'scale' }, connections: 1, amount: 1 });
  for (let round = 0; round < rounds; round += 1) {
    atomic.push((await stage.send({ ...stretch, key: 'new' })).rate);
    replay.push((await stage.send({ ...stretch, key: { one: 'scale' } })).rate);
  }
  return { atomic, replay };
}

/** Finished keys as the product leaves them; their answers are JSON of a payment's kind. */
async function load({ sql }: Stage, { say }: Extent, from: number, to: number): Promise<void> {
  for (let done = from; done < to; done += BATCH) {
    const until = Math.min(done + BATCH, to);
    await sql.query(
      `INSERT INTO idempotency_keys (account, mode, key, claim_id, attempt, operation, fingerprint,
          fingerprint_version, parameters, original_request, status, headers, body, created_at, expires_at)
        SELECT 'account-' || n % 1000, 'test', gen_random_uuid()::text, gen_random_uuid(), 1,
          'POST /v1/payment_intents', sha256(n::text::bytea), 1,
          '{"amount":"0a1b2c3d","currency":"4e5f6a7b"}', 'req_' || lpad(n::text, 24, '0'), 200,
          '{"content-type":"application/json; charset=utf-8"}',
          convert_to(left(string_agg, $3::int), 'UTF8'), now(), now() + interval '1 day'
        FROM generate_series($1::int + 1, $2::int) AS n,
          LATERAL (SELECT string_agg(md5((n * 32 + part)::text), '') FROM generate_series(1, 19) AS part) AS body`,
      [done, until, ANSWER_BYTES],
    );
    if ((until / BATCH) % 10 === 0) say(`${until.toLocaleString('en')} keys`);
  }
  await sql.query('VACUUM ANALYZE idempotency_keys');
  await sql.query('CHECKPOINT');
}

async function bytesPerKey({ sql }: Stage): Promise<number> {
  const { rows } = await sql.query<{ bytes: number }>(
    `SELECT pg_total_relation_size('idempotency_keys')::float8 / count(*) AS bytes FROM idempotency_keys`,
  );
  return rows[0]?.bytes ?? Number.NaN;
}
