/** How V8 is to treat what requests are made of. */
import { setFlagsFromString } from 'node:v8';

/** V8's own name for it; with it on the command line, as `node --allocation-…`, V8 does as it likes. */
const PRETENURING = 'allocation-site-pretenuring';

/**
 * Keeps V8 from making objects old from the start. It does that for places in the code whose objects
 * survive a collection, and a request that waits for PostgreSQL survives: under load all that requests
 * are made of becomes old garbage, which keeps younger garbage alive until the next great collection.
 * Every answer costs a third more CPU from then on, replays that wait for nothing included
 * (docs/PERFORMANCE.md, "Where the time goes"). To be called before the first request.
 */
export function keepRequestsYoung(): void {
  if (!process.execArgv.includes(`--${PRETENURING}`)) setFlagsFromString(`--no-${PRETENURING}`);
}
