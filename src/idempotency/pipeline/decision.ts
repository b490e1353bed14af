/** The decision: from what the store knows of a key to what is done. Pure: no clock, no database (R4 to R8). */
import type { Attempt } from '../attempts/attempt';
import type { FinishedKey } from '../store/key.store';

/** What the store found, as the database's clock and locks had it at one moment. */
export interface KeyState {
  /** Whether this request now holds the key's lock, so that no other can begin. */
  readonly locked: boolean;
  readonly row?: {
    /** Whether the stored request is this one. */
    readonly sameRequest: boolean;
    readonly finished: boolean;
    /** Past its life; only ever true of a finished row (R18). */
    readonly expired: boolean;
    /** An unfinished row whose owner's lease is over (R11). */
    readonly leaseExpired: boolean;
  };
}

export type Decision = 'run' | 'take over' | 'replay' | 'in use' | 'reused';

/** `test/idempotency/pipeline/decision.test.ts` lists every combination. */
export function decide({ locked, row }: KeyState): Decision {
  if (!row || row.expired) return locked ? 'run' : 'in use'; // R5, R8
  if (!row.sameRequest) return 'reused'; // R7
  if (row.finished) return 'replay'; // R6
  return row.leaseExpired && locked ? 'take over' : 'in use'; // R11, R8
}

/** What an admitted call is to do: run, or replay what is stored. */
export type Verdict = { readonly attempt: Attempt } | { readonly replay: FinishedKey };

/** The call is left to the request that runs. */
export interface InUse {
  /** Id of the request that runs, where it is known. */
  readonly inUseBy: string | undefined;
}
