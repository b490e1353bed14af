/** What is known of a key, and this request → what to do. Pure: no clock, no database (R4 to R8). */

/** What the store found, all of it as the database's clock and locks had it at one moment. */
export interface Known {
  /** Whether this request now holds the key's lock, so that nobody else can begin. */
  readonly locked: boolean;
  readonly row?: {
    /** Whether the stored request is this one. */
    readonly sameRequest: boolean;
    readonly finished: boolean;
    /** Past its life; only ever true of a finished row (R18). */
    readonly expired: boolean;
    /** An unfinished row whose owner has lost it (R11). */
    readonly leaseExpired: boolean;
  };
}

export type Decision = 'run' | 'take over' | 'replay' | 'in use' | 'reused';

/** Decides. Every combination is listed in `test/idempotency/decision.test.ts`. */
export function decide({ locked, row }: Known): Decision {
  if (!row || row.expired) return locked ? 'run' : 'in use'; // R5, R8
  if (!row.sameRequest) return 'reused'; // R7
  if (row.finished) return 'replay'; // R6
  return row.leaseExpired && locked ? 'take over' : 'in use'; // R11, R8
}
