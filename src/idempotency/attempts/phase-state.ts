/** Where an attempt stands among its phases, and what it holds of its key there (R10, R11). */
import type { OpenTransaction } from '../store/open-transaction';

/**
 * What an attempt holds of its key: its lock, in the transaction that the first phase takes over; or its
 * row, until the lease ends, by `performance.now()`; or neither, while the phase that is to store the row
 * runs and after it failed.
 */
export type Hold =
  { readonly lock: OpenTransaction } | { readonly leaseEndsMs: number } | undefined;

/** Where an attempt stands. */
export type PhaseState =
  | { readonly is: 'between phases'; readonly hold: Hold }
  | InPhase
  | {
      readonly is: 'past the last phase';
      readonly hold: Hold;
      /** Of the last phase, until the response is finished; none where that phase failed. */
      readonly transaction?: OpenTransaction;
      /** The error that the last phase returned as its outcome. */
      readonly returned?: Error;
    }
  | { readonly is: 'lease lost' }
  /** The response is being finished, or the request was given up. */
  | { readonly is: 'over' };

export interface InPhase {
  readonly is: 'in a phase';
  readonly name: string;
  readonly hold: Hold;
  readonly transaction?: OpenTransaction;
}

/** Whether the attempt's row is stored. */
export const isRow = (hold: Hold): hold is { readonly leaseEndsMs: number } =>
  hold !== undefined && 'leaseEndsMs' in hold;

/** The transaction that is open: of a phase, or the one that holds the key's lock. */
export function openTransactionOf(state: PhaseState): OpenTransaction | undefined {
  if (state.is === 'lease lost' || state.is === 'over') return undefined;
  if (state.is !== 'between phases' && state.transaction) return state.transaction;
  return state.hold && 'lock' in state.hold ? state.hold.lock : undefined;
}
