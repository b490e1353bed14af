/** Opens the database of a process before anything else: checks DATABASE_URL, or starts the embedded server. */
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../embedded-postgres';
import { OperatorError, type Settings } from '../runtime';

/** PostgreSQL's major version. */
const MIN_VERSION = 15;

/** Thrown when the database of DATABASE_URL cannot be used, with a sentence for operators. */
export class DatabaseUnavailableError extends OperatorError {}

export interface OpenDatabase {
  /** The settings, with the DATABASE_URL that was opened. */
  readonly settings: Settings;
  /** True if the database came with the package. */
  readonly embedded: boolean;
  /** Stops the embedded server, unless another process uses it. Does nothing where DATABASE_URL is set. */
  readonly close: () => Promise<void>;
}

/**
 * Checks the database of DATABASE_URL; without one starts the embedded server.
 * @throws DatabaseUnavailableError, EmbeddedPostgresError
 */
export async function openDatabase(settings: Settings): Promise<OpenDatabase> {
  if (settings.DATABASE_URL !== '') {
    await checkDatabase(settings);
    return { settings, embedded: false, close: () => Promise.resolve() };
  }
  const server = await startEmbeddedPostgres({ dataDir: settings.DATA_DIR });
  return {
    settings: settings.with({ DATABASE_URL: server.url }),
    embedded: true,
    close: () => server.stop(),
  };
}

/**
 * Connects once and checks the version.
 * @throws DatabaseUnavailableError with the reason, without the password of the URL
 */
async function checkDatabase(settings: Settings): Promise<void> {
  const { host, pathname } = new URL(settings.DATABASE_URL);
  const client = new Client({
    connectionString: settings.DATABASE_URL,
    connectionTimeoutMillis: settings.DATABASE_CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  let version: number;
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
    version = Math.floor(Number(rows[0]?.server_version_num) / 10_000);
  } catch (error) {
    throw new DatabaseUnavailableError(
      `The database ${host}${pathname} of DATABASE_URL cannot be used: ${reasonOf(error)}.`,
      { cause: error },
    );
  } finally {
    await client.end().catch(() => undefined);
  }
  if (version < MIN_VERSION) {
    throw new DatabaseUnavailableError(
      `The database ${host} is PostgreSQL ${version}, but ${MIN_VERSION} or newer is needed.`,
    );
  }
}

function reasonOf(error: unknown): string {
  // A name with several addresses fails with one error for each, and no message of its own.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  return first instanceof Error ? first.message : String(first);
}
