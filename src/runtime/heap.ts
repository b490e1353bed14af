/** Settings of V8's heap that suit a server whose requests wait for a database. */
import { setFlagsFromString } from 'node:v8';

/** V8's name of the flag. As `node --allocation-site-pretenuring` an operator can turn it on again. */
const PRETENURING = 'allocation-site-pretenuring';

/**
 * Turns off V8's allocation-site pretenuring, before the first request. Pretenuring allocates objects of
 * code whose objects survive a collection in the old generation, and requests that wait for PostgreSQL
 * survive. Under load their objects become old garbage, which keeps young garbage alive until the next
 * major collection: every response then costs a third more CPU, replays included (docs/PERFORMANCE.md,
 * "Where the time goes").
 */
export function disablePretenuring(): void {
  // Internals: pretenuring
  if (!process.execArgv.includes(`--${PRETENURING}`)) setFlagsFromString(`--no-${PRETENURING}`);
}
