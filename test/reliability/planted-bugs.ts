/**
 * Bugs on purpose, and the scenario that must catch each: a check that cannot fail proves nothing.
 * They exist in tests alone; a production build has no way to switch them on.
 */
import type { Finding, PlantedBug } from './world';

export interface Trap {
  readonly bug: PlantedBug;
  /** Name of the scenario. */
  readonly scenario: string;
  /** The rules of which at least one must be found broken. */
  readonly by: readonly Finding['rule'][];
  /** Why these. */
  readonly because: string;
}

export const traps: readonly Trap[] = [
  {
    bug: 'no_fence',
    scenario: 'frozen',
    by: ['I3', 'I5', 'fence'],
    because:
      'a late write of a first confirm flips the payment that a second one has with the acquirer, ' +
      'whose charge then never becomes a final payment',
  },
  {
    bug: 'remote_key_per_attempt',
    scenario: 'failpoints',
    by: ['I1'],
    because: 'the attempt after a crash charges again: two entries in the ledger for one key',
  },
  {
    bug: 'lease_ignored',
    scenario: 'duplicates',
    by: ['I1'],
    because:
      'a copy takes over from an owner that lives; an acquirer that remembers no key charges twice',
  },
  {
    bug: 'response_after_commit',
    scenario: 'failpoints',
    by: ['I1', 'I3', 'I4', 'I5'],
    because: 'a crash between the two leaves writes without an answer, and the retry repeats them',
  },
];
