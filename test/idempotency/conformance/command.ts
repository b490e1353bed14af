/** How the conformance kit's program is started from its source: what stands behind `node`. */
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..', '..');

export const COMMAND: readonly string[] = [
  join(ROOT, 'test', 'support', 'run.cjs'),
  join(ROOT, 'src', 'idempotency', 'conformance', 'conformance-command.ts'),
];
