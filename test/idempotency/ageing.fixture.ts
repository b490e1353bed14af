/** Rows of keys, made older by changing them, because the database's clock alone decides how old a key is. */
import { Controller, Post } from '@nestjs/common';
import { Idempotent, PurgeJob } from '../../src/idempotency';
import { openShop, type Shop, Watch } from './shop.fixture';
import { numberFrom } from './shop-database.fixture';

export const DAY_S = 86_400;

@Controller('lives')
class LivesController {
  constructor(private readonly watch: Watch) {}

  @Post('short')
  @Idempotent({ ttl: 60 })
  short() {
    return { run: (this.watch.runs += 1) };
  }

  @Post('long')
  @Idempotent({ ttl: 30 * DAY_S })
  long() {
    return { run: (this.watch.runs += 1) };
  }
}

/** A row, with its times in seconds. */
export interface Aged {
  readonly life: number;
  readonly left: number;
  readonly age: number;
  readonly status: number | null;
  readonly claim_id: string;
  readonly attempt: number;
}
/** Opens a shop whose responses are in PostgreSQL alone: a cached one would not notice that its row was made older. */
export function openAgeingShop(): Promise<Shop> {
  return openShop('fastify', {
    controllers: [LivesController],
    options: { replayMemoryBytes: 0 },
  });
}

export const removeRows = (shop: Shop) => shop.dataSource.query('DELETE FROM idempotency_keys');

export const countRows = (shop: Shop): Promise<number> =>
  numberFrom(shop, 'SELECT count(*)::int AS n FROM idempotency_keys');

export async function rowOf(shop: Shop, key: string): Promise<Aged | undefined> {
  const rows = await shop.dataSource.query<Aged[]>(
    `SELECT extract(epoch FROM expires_at - created_at)::float8 AS life,
       extract(epoch FROM expires_at - now())::float8 AS left,
       extract(epoch FROM now() - created_at)::float8 AS age, status, claim_id, attempt
     FROM idempotency_keys WHERE key = $1`,
    [key],
  );
  return rows[0];
}

/** Makes the row look as if it had been written this long ago. */
export const age = (shop: Shop, key: string, seconds: number) =>
  shop.dataSource.query(
    `UPDATE idempotency_keys SET created_at = created_at - $2::int * interval '1 second',
       expires_at = expires_at - $2::int * interval '1 second',
       lease_until = lease_until - $2::int * interval '1 second' WHERE key = $1`,
    [key, seconds],
  );

export const purge = (shop: Shop) => shop.app.get(PurgeJob, { strict: false }).runOnce();
