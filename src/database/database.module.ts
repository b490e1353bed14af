/** The data source of a process, its connections, and the migrations at its start. */
import { type DynamicModule, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Client, type Pool, type PoolClient } from 'pg';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { Settings } from '../runtime';
import { findMigrations } from './migrations';
import { PreparedStatementClient } from './prepared-statement-client';

/** Two processes that start together migrate one after the other. */
const MIGRATIONS_LOCK = 0x6d69_6772;

/** A connection that was idle for longer is validated when the pool hands it out, ms. */
const VALIDATE_AFTER_IDLE_MS = 5;
/** Longest wait for the result of a validation, ms. SELECT 1 waits for no lock. */
const VALIDATION_TIMEOUT_MS = 2_000;

/**
 * The data source that all modules share. Its schema is up to date once the module is initialised.
 */
@Module({})
export class DatabaseModule {
  static forRoot(): DynamicModule {
    const connection = TypeOrmModule.forRootAsync({
      inject: [Settings],
      useFactory: (settings: Settings) => ({
        ...dataSourceOptions(settings),
        migrations: findMigrations(),
        autoLoadEntities: true,
        // A process that cannot reach its database ends with a sentence, and its supervisor starts it
        // again.
        retryAttempts: 0,
      }),
      dataSourceFactory: async (options) =>
        connectAndMigrate(new DataSource(options as DataSourceOptions)),
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
      // Several statements travel in one round trip: BEGIN with the claim, the response with COMMIT.
      // Internals: pipeline-of-pg
      pipeline: true,
      // PostgreSQL plans each statement of TypeORM's once for each connection.
      Client: PreparedStatementClient,
      max: settings.DATABASE_POOL_SIZE,
      // Also bounds the wait for a free connection: a handler that takes a second one gets an error
      // instead of a deadlock.
      connectionTimeoutMillis: settings.DATABASE_CONNECT_TIMEOUT_MS,
      // A server that sends no result for so long is lost, even if the connection looks healthy. Longer
      // than PostgreSQL lets a transaction be idle, so that PostgreSQL's timeout fires before this one.
      query_timeout: settings.IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS + 5_000,
      keepAlive: true,
      // Frees the key of an owner that froze inside its transaction (R9).
      idle_in_transaction_session_timeout: settings.IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS,
    },
  };
}

/**
 * Checks connections with SELECT 1 when the pool hands them out, to find dead ones: after a failover, or
 * where a firewall has dropped them. A statement would wait on a dead connection for as long as it may wait
 * for a lock. SELECT 1 travels ahead of the caller's statements, in the same round trip. Without a result
 * pg closes the connection, and the statements fail as on any lost connection. The pool's idle connections
 * are probably dead too, and are closed with it.
 */
function validateOnCheckout(pool: Pool): void {
  const validation = { text: 'SELECT 1', query_timeout: VALIDATION_TIMEOUT_MS };
  const idleSince = new Map<PoolClient, number>();
  const dropIdle = () => {
    // Internals: stream-of-pg
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
    if (idleMs < VALIDATE_AFTER_IDLE_MS) return;
    // The caller's statements fail as well, and report the error to the caller.
    client.query(validation).catch(dropIdle);
  });
}

/** Connects and brings the schema up to date, one process at a time. */
async function connectAndMigrate(dataSource: DataSource): Promise<DataSource> {
  await dataSource.initialize();
  // Internals: pool-of-typeorm
  validateOnCheckout((dataSource.driver as unknown as { master: Pool }).master);
  const { url } = dataSource.options as { url: string };
  // A connection of its own, so that a pool of one is enough.
  const lock = new Client({ connectionString: url, application_name: 'paidonce migrations' });
  // A connection that is lost meanwhile fails the query, too.
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
