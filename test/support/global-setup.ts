/** One embedded PostgreSQL for the whole run of the tests; each test file makes its own database on it. */
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/database/embedded';

export interface RunningPostgres {
  dataDir: string;
  server: EmbeddedPostgres;
}

export default async function globalSetup(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'paidonce-test-'));
  chmodSync(dataDir, 0o755);
  const server = await startEmbeddedPostgres({ dataDir });
  process.env.TEST_DATABASE_URL = server.url;
  Object.assign(globalThis, { testPostgres: { dataDir, server } satisfies RunningPostgres });
}
