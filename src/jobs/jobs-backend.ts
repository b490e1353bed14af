/** Puts BullMQ's jobs on Redis where REDIS_URL is set, else on PostgreSQL. */
import { setTimeout as pause } from 'node:timers/promises';
import {
  type ConnectionOptions,
  createPostgresBackend,
  createRedisBackend,
  type IQueueBackend,
  Queue,
  type QueueOptions,
  setDefaultBackendFactory,
} from 'bullmq';
import type { Pool } from 'pg';
import type { Settings } from '../runtime';

/** Name of the queue, in Redis or PostgreSQL. */
export const JOBS_QUEUE = 'paidonce';
/** Connections to PostgreSQL of each of the two pools, beside one that listens. */
const POOL_SIZE = 2;
/** Longest statement of BullMQ's, ms: after it the connection is taken for dead. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** Delay before a worker asks for a job again after an error, ms. */
const RETRY_DELAY_MS = 500;
/** Longest delay before the next connection to Redis, ms. */
const MAX_RECONNECT_DELAY_MS = 2_000;
/** Redis's reply timeout, ms: longer than the 10 s for which BullMQ waits for a job in one command. */
const REPLY_TIMEOUT_MS = 15_000;
/** Finished jobs that BullMQ keeps, for operators to read. */
const MAX_FINISHED_JOBS = 100;

// Chosen for each queue and worker by its options, and not once for the process.
setDefaultBackendFactory((name, options, role) =>
  withRetryDelay(
    'connectionString' in options.connection
      ? postgresBackend(name, options as PostgresOptions, role)
      : createRedisBackend(name, options, role),
  ),
);

type PostgresOptions = Parameters<typeof createPostgresBackend>[1];

const postgresBackend: typeof createPostgresBackend = (name, options, role) => {
  const backend = createPostgresBackend(name, options, role);
  // Internals: pool-of-bullmq
  const { pool } = (backend as unknown as { connection: { pool: Pool } }).connection;
  // An error event of a checked-out connection has no listener otherwise, and would end the process.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  return backend;
};

/**
 * Delays a worker's next request for a job after an error. BullMQ retries at once: on a dead connection
 * that can starve the process, and a full Redis gets a request as soon as it has refused the last one.
 */
function withRetryDelay<B extends IQueueBackend>(backend: B): B {
  // Internals: delay-in-bullmq
  const moveToActive = backend.moveToActive.bind(backend);
  backend.moveToActive = (...given) =>
    moveToActive(...given).catch(async (error: unknown) => {
      await pause(RETRY_DELAY_MS);
      throw error;
    });
  return backend;
}

/** Ignores errors: BullMQ prints them where there is no listener, and Redis may be down at the start. */
export class JobsQueue extends Queue {
  constructor(...given: ConstructorParameters<typeof Queue>) {
    super(...given);
    this.on('error', () => undefined);
  }
}

/** The options of every queue and worker of a process. */
export function queueOptions(settings: Settings): QueueOptions {
  return {
    connection: settings.REDIS_URL === '' ? postgres(settings) : redis(settings),
    defaultJobOptions: {
      removeOnComplete: { count: MAX_FINISHED_JOBS },
      removeOnFail: { count: MAX_FINISHED_JOBS },
    },
  };
}

function postgres(settings: Settings): ConnectionOptions {
  const { JOBS_DATABASE_URL, DATABASE_URL, DATABASE_CONNECT_TIMEOUT_MS } = settings;
  return {
    connectionString: JOBS_DATABASE_URL === '' ? DATABASE_URL : JOBS_DATABASE_URL,
    application_name: 'paidonce jobs',
    migrate: true,
    max: POOL_SIZE,
    connectionTimeoutMillis: DATABASE_CONNECT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
  };
}

function redis({ REDIS_URL }: Settings): ConnectionOptions {
  return {
    url: REDIS_URL,
    maxRetriesPerRequest: null,
    socketTimeout: REPLY_TIMEOUT_MS,
    retryStrategy: (times: number) =>
      Math.min(100 * 2 ** Math.min(times, 10), MAX_RECONNECT_DELAY_MS),
  };
}
