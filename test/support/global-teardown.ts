/** Ends what global-setup.ts started: the server, its data, the compiled programs. */
import { rmSync } from 'node:fs';
import type { TestRun } from './global-setup';

export default async function globalTeardown(): Promise<void> {
  const { testRun } = globalThis as typeof globalThis & { testRun?: TestRun };
  if (testRun === undefined) return;
  await testRun.server.stop();
  rmSync(testRun.dataDir, { recursive: true, force: true });
  rmSync(testRun.programs, { recursive: true, force: true });
}
