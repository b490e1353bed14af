/** Where BullMQ keeps its jobs: on Redis where REDIS_URL is set, else on the same PostgreSQL. */
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
/** Longest statement of BullMQ's: after it a connection that leads nowhere is given up, ms. */
const STATEMENT_DEADLINE_MS = 30_000;
/** Before a job is asked for again that could not be asked for, ms. */
const AFTER_FAILURE_MS = 500;
/** Longest pause before Redis is tried again, ms. */
const LONGEST_RETRY_MS = 2_000;
/**
 * Longest silence of a Redis that owes an answer, ms: after it the connection leads nowhere and is given
 * up. BullMQ asks for the next job for 10 s at a time.
 */
const SILENCE_DEADLINE_MS = 15_000;
/** Finished jobs that are kept, for a person to look at. */
const KEPT = 100;

// Decided for each queue and worker by what it is given, and not once for the process.
setDefaultBackendFactory((name, options, role) =>
  unhurried(
    'connectionString' in options.connection
      ? postgresBackend(name, options as PostgresOptions, role)
      : createRedisBackend(name, options, role),
  ),
);

type PostgresOptions = Parameters<typeof createPostgresBackend>[1];

const postgresBackend: typeof createPostgresBackend = (name, options, role) => {
  const backend = createPostgresBackend(name, options, role);
  const { pool } = (backend as unknown as { connection: { pool: Pool } }).connection;
  // A lent connection that PostgreSQL ends has no listener, which would end the process.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  return backend;
};

/**
 * A worker that could not ask for its next job asks again at once: on a connection that has just died
 * so fast that nothing else in the process runs, and on a full Redis as fast as it answers.
 */
function unhurried<B extends IQueueBackend>(backend: B): B {
  const moveToActive = backend.moveToActive.bind(backend);
  backend.moveToActive = (...given) =>
    moveToActive(...given).catch(async (error: unknown) => {
      await pause(AFTER_FAILURE_MS);
      throw error;
    });
  return backend;
}

/** BullMQ writes errors to the console as long as nobody listens, and Redis may be away at the start. */
export class JobsQueue extends Queue {
  constructor(...given: ConstructorParameters<typeof Queue>) {
    super(...given);
    this.on('error', () => undefined);
  }
}

/** What every queue and worker of a process is made with. */
export function queueOptions(settings: Settings): QueueOptions {
  return {
    connection: settings.REDIS_URL === '' ? postgres(settings) : redis(settings),
    defaultJobOptions: {
      removeOnComplete: { count: KEPT },
      removeOnFail: { count: KEPT },
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
    query_timeout: STATEMENT_DEADLINE_MS,
    keepAlive: true,
  };
}

function redis({ REDIS_URL }: Settings): ConnectionOptions {
  return {
    url: REDIS_URL,
    maxRetriesPerRequest: null,
    socketTimeout: SILENCE_DEADLINE_MS,
    retryStrategy: (times: number) => Math.min(100 * 2 ** Math.min(times, 10), LONGEST_RETRY_MS),
  };
}
