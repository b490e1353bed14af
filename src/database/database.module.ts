import { type DynamicModule, Module, type Type } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Client, type Pool, type PoolClient } from 'pg';
import { DataSource, type DataSourceOptions, type MigrationInterface } from 'typeorm';
import { Settings } from '../runtime';
import { PreparingClient } from './preparing-client';

/** Two processes that start together migrate one after the other. */
const MIGRATIONS_LOCK = 0x6d69_6772;

/** A connection that was idle for longer must show that it lives when it is lent, ms. */
const TRUSTED_MS = 5;
/** Longest wait for that sign of life, ms: what is asked waits for no lock. */
const SIGN_OF_LIFE_MS = 2_000;

/**
 * The data source that everything shares, on a schema that is up to date once the module is there.
 */
@Module({})
export class DatabaseModule {
  /**
   * @param migrations every migration of every module, each reversible; they run in the order of
   * their numbers
   */
  static forRoot(migrations: Type<MigrationInterface>[]): DynamicModule {
    const connection = TypeOrmModule.forRootAsync({
      inject: [Settings],
      useFactory: (settings: Settings) => ({
        ...dataSourceOptions(settings),
        migrations,
        autoLoadEntities: true,
        // A process that cannot reach its database ends with a sentence; who supervises it starts
        // it again.
        retryAttempts: 0,
      }),
      dataSourceFactory: async (options) => migrated(new DataSource(options as DataSourceOptions)),
    });
    return { module: DatabaseModule, imports: [connection] };
  }
}

function dataSourceOptions(settings: Settings) {
  return {
    type: 'postgres' as const,
    url: settings.DATABASE_URL,
    applicationName: 'paidonce',
    extra: {
      // Several statements travel in one round trip: BEGIN with the claim, the answer with COMMIT.
      pipeline: true,
      // And what TypeORM sends is planned once for each connection.
      Client: PreparingClient,
      max: settings.DATABASE_POOL_SIZE,
      // Also bounds the wait for a free connection: a handler that takes a second one errs, not
      // deadlocks.
      connectionTimeoutMillis: settings.DATABASE_CONNECT_TIMEOUT_MS,
      // A server that takes a statement and never answers is gone, however healthy the connection
      // looks. Longer than PostgreSQL lets a transaction be idle, so that it is the first to speak.
      query_timeout: settings.IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS + 5_000,
      keepAlive: true,
      // Frees the key of an owner that froze inside its transaction (R9).
      idle_in_transaction_session_timeout: settings.IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS,
    },
  };
}

/**
 * Finds connections whose other end is gone without a word, as after a failover or in a firewall that
 * forgot them: a statement would wait on each of them for as long as one may wait for a lock. The
 * question travels ahead of the statements it is asked for, in the same round trip. Where no answer
 * comes, pg breaks the connection, and they fail as on any that is lost; those that were idle meanwhile
 * are likely as dead, and go with it.
 */
function askWhenLent(pool: Pool): void {
  const question = { text: 'SELECT 1', query_timeout: SIGN_OF_LIFE_MS };
  const idleSince = new Map<PoolClient, number>();
  const dropIdle = () => {
    for (const client of idleSince.keys()) client.connection.stream.destroy();
  };
  pool.on('release', (error, client) => {
    if (!error) idleSince.set(client, performance.now());
    else if (error.message === 'Query read timeout') dropIdle();
  });
  pool.on('remove', (client) => void idleSince.delete(client));
  pool.on('acquire', (client) => {
    const idleMs = performance.now() - (idleSince.get(client) ?? 0);
    idleSince.delete(client);
    if (idleMs < TRUSTED_MS) return;
    // The statements behind it fail as well, and say so to who sent them.
    client.query(question).catch(dropIdle);
  });
}

/** Connects and brings the schema up to date, one process at a time. */
async function migrated(dataSource: DataSource): Promise<DataSource> {
  await dataSource.initialize();
  askWhenLent((dataSource.driver as unknown as { master: Pool }).master);
  const { url } = dataSource.options as { url: string };
  // A connection of its own, so that a pool of one is enough.
  const lock = new Client({ connectionString: url, application_name: 'paidonce migrations' });
  // A connection lost while it waits fails the query, too.
  lock.on('error', () => undefined);
  try {
    await lock.connect();
    await lock.query('SELECT pg_advisory_lock($1)', [MIGRATIONS_LOCK]);
    await migrate(dataSource.options);
    return dataSource;
  } catch (error) {
    await dataSource.destroy();
    throw error;
  } finally {
    await lock.end();
  }
}

/** On a data source of its own: a migration may take longer than any request. */
async function migrate(options: DataSourceOptions): Promise<void> {
  const unbounded = { max: 1 };
  const dataSource = new DataSource({ ...options, extra: unbounded });
  await dataSource.initialize();
  try {
    await dataSource.runMigrations({ transaction: 'each' });
  } finally {
    await dataSource.destroy();
  }
}
