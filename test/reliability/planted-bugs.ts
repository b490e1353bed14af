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
  {
    bug: 'no_statement_patience',
    scenario: 'network',
    by: ['deadline'],
    because: 'a statement on a connection that is half open is never answered, nor ever given up',
  },
  {
    bug: 'waits_for_redis',
    scenario: 'redis',
    by: ['answers', 'deadline'],
    because: 'requests wait as long as Redis does not answer',
  },
  {
    bug: 'jobs_declared_once',
    scenario: 'redis',
    by: ['jobs'],
    because: 'the schedules are gone with what a flush removes, and nobody declares them again',
  },
  {
    bug: 'own_clock',
    scenario: 'clock',
    by: ['I1', 'clock'],
    because: 'where the clock is two days fast a finished key has expired, and its copy pays again',
  },
  {
    bug: 'ledger_lags',
    scenario: 'kills',
    by: ['I2', 'I3', 'I6'],
    because: 'an acquirer that answers before its ledger is written forgets, killed, what it did',
  },
];
