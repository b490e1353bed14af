/**
 * Defences taken away on purpose, and the attack that must notice each: a check that cannot fail proves
 * nothing. They exist in tests alone; a production build has no way to switch them on.
 */
import type { Finding, Planted } from './attack';

export interface Trap extends Planted {
  /** Name of the attack. */
  readonly attack: string;
  /** The rules of which at least one must be found broken. */
  readonly by: readonly Finding['rule'][];
}

const trap = (
  weakness: string,
  attack: string,
  check: string,
  ...by: readonly Finding['rule'][]
): Trap => ({ weakness, attack, check, by });

/** What each of them is stands in weaken.cjs. */
export const traps: readonly Trap[] = [
  trap('quadratic_search', 'body-cost', 'combining marks out of order in JSON', 'cost'),
  trap('json_uncounted', 'body-cost', 'values in JSON', 'refusal'),
  trap('chunks_uncounted', 'body-cost', 'chunks of one byte', 'memory'),
  trap('responses_kept', 'dead-connections', 'the bundle, gone after 300 ms', 'closing'),
  trap('heads_unbounded', 'dead-connections', 'clients that stay', 'memory'),
  trap('parsed_at_once', 'pipelining', 'a valid key', 'waiting'),
  trap('no_queue', 'pipelining', 'a valid key', 'handlers'),
  trap('queue_without_limit', 'pipelining', 'made-up keys', 'waiting'),
  trap('requests_kept', 'pipelining', 'reads of a client that means well', 'memory'),
  trap('body_before_key', 'anonymous-bodies', 'no key', 'refusal'),
  trap('unknown_keys_forgotten', 'anonymous-bodies', 'guesses', 'lookups'),
  trap('bodies_without_an_end', 'anonymous-bodies', 'bodies without an end', 'closing'),
  trap('closed_at_once', 'anonymous-bodies', 'a client that keeps its connection', 'refusal'),
  trap('headers_dropped', 'many-headers', 'many headers', 'payments'),
  trap('keys_not_searched', 'card-keys', 'in the header', 'rows'),
  trap('client_taken_for_database', 'resets', 'in a body', 'log'),
  trap('any_return_url', 'return-urls', 'a payment', 'payments'),
];
