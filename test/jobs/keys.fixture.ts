/** Rows of idempotency_keys as the product leaves them, without the requests that would make them. */
import { Client } from 'pg';

export async function connected(databaseUrl: string): Promise<Client> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  return client;
}

/** Finished keys of an account. `expiredSecondsAgo`: since the end of their life; negative: until it. */
export async function insertFinished(
  sql: Client,
  account: string,
  count: number,
  expiredSecondsAgo: number,
): Promise<void> {
  await sql.query(
    `INSERT INTO idempotency_keys (account, mode, key, claim_id, attempt, operation, fingerprint,
        fingerprint_version, parameters, original_request, status, headers, body, created_at, expires_at)
      SELECT $1, 'test', 'key-' || n, gen_random_uuid(), 1, 'POST /v1/payment_intents',
        sha256(n::text::bytea), 1, '{"amount":"0a1b2c3d","currency":"4e5f6a7b"}', 'req_' || n, 200,
        '{"content-type":"application/json"}', convert_to(repeat('x', 900), 'UTF8'),
        now() - interval '1 day', now() - $3::float8 * interval '1 second'
      FROM generate_series(1, $2::int) AS n`,
    [account, count, expiredSecondsAgo],
  );
}

interface Unfinished {
  readonly count: number;
  /** Since the lease expired, s; negative: until it expires. */
  readonly leaseSecondsAgo: number;
  /** Default: false. */
  readonly parked?: boolean;
}

/** Unfinished keys of an account whose life would be over. */
export async function insertUnfinished(
  sql: Client,
  account: string,
  { count, leaseSecondsAgo, parked = false }: Unfinished,
): Promise<void> {
  await sql.query(
    `INSERT INTO idempotency_keys (account, mode, key, claim_id, attempt, operation, fingerprint,
        fingerprint_version, parameters, original_request, created_at, expires_at, lease_until,
        request, parked_at)
      SELECT $1, 'test', 'key-' || n, gen_random_uuid(), 1, 'POST /v1/payment_intents',
        sha256(n::text::bytea), 1, '{}', 'req_' || n, now() - interval '2 days',
        now() - interval '1 day', now() - $3::float8 * interval '1 second',
        '{"method":"POST","url":"/v1/payment_intents","headers":{},"body":""}',
        CASE WHEN $4 THEN now() END
      FROM generate_series(1, $2::int) AS n`,
    [account, count, leaseSecondsAgo, parked],
  );
}

export async function countKeys(sql: Client, account: string): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    'SELECT count(*)::int FROM idempotency_keys WHERE account = $1',
    [account],
  );
  return rows[0]?.count ?? 0;
}
