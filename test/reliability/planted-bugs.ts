/**
 * The planted bugs, and the scenario that must catch each: a check that cannot fail proves nothing.
 * Only the tests can plant them; a production build has no switch for them.
 */
import type { Finding, PlantedBug } from './testbed';

export interface Trap {
  readonly bug: PlantedBug;
  /** Name of the scenario. */
  readonly scenario: string;
  /** At least one of these rules must be found broken. */
  readonly by: readonly Finding['rule'][];
  /** Why the bug breaks these rules. */
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
    because:
      'a crash between the two commits leaves writes without a stored response, and the retry repeats them',
  },
  {
    bug: 'no_statement_patience',
    scenario: 'network',
    by: ['deadline'],
    because: 'a statement on a half-open connection never ends',
  },
  {
    bug: 'waits_for_redis',
    scenario: 'redis',
    by: ['answers', 'deadline'],
    because: 'requests wait until Redis answers',
  },
  {
    bug: 'jobs_declared_once',
    scenario: 'redis',
    by: ['jobs'],
    because: 'a flush removes the schedules, and nothing declares them again',
  },
  {
    bug: 'own_clock',
    scenario: 'clock',
    by: ['I1', 'clock'],
    because:
      'where the clock is two days fast, a finished key has expired, and its copy pays again',
  },
  {
    bug: 'ledger_lags',
    scenario: 'kills',
    by: ['I2', 'I3', 'I6'],
    because:
      'an acquirer that replies before its ledger is written forgets, when killed, what it did',
  },
];
