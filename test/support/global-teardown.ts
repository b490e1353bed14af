import { rmSync } from 'node:fs';
import type { RunningPostgres } from './global-setup';

export default async function globalTeardown(): Promise<void> {
  const { testPostgres } = globalThis as typeof globalThis & { testPostgres?: RunningPostgres };
  if (testPostgres === undefined) return;
  await testPostgres.server.stop();
  rmSync(testPostgres.dataDir, { recursive: true, force: true });
}
