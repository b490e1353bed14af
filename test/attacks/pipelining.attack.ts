/** One connection that sends very many requests and waits for no response. */
import type { Arena } from './arena';
import type { Attack, Check, Finding } from './attack';
import type { RaidResult } from './raid';
import { FORM, head, post } from './requests';

const REQUESTS = 20_000;
/** Of a short run: still more than may wait. */
const FEWER_REQUESTS = 5_000;
/** What a client that means well may pipeline, and gets responses for. */
const WELL_BEHAVED = 1_000;
const MAX_AT_ONCE = 4;
/** Heads that are parsed and wait; the rest waits as bytes. */
const MAX_WAITING = 150;
const PATIENCE_MS = 120_000;

const madeUp = `sk_test_${'0'.repeat(39)}{n4}`;

export const pipelining: Attack<Arena> = {
  name: 'pipelining',
  about: `one connection sends ${REQUESTS} requests at once`,
  checks(arena) {
    const { authorization } = arena;
    const unknown = head('GET', '/v1/customers/cus_{n}', authorization);
    const keys = head('GET', '/v1/customers', `authorization: Bearer ${madeUp}\r\n`);
    const unmet = head('GET', '/', 'expect: tea\r\n');
    return [
      greedy(arena, 'made-up keys', keys, '{n4} is unknown'),
      greedy(arena, 'a valid key', unknown, `'cus_{n}'`),
      // As many heads as fit into what is read at once.
      greedy(arena, 'tiny requests', 'GET / HTTP/1.1\r\n\r\n', ''),
      greedy(arena, 'expectations nobody can meet', unmet, 'tea'),
      greedy(arena, 'URLs that do not parse', head('GET', '/v1/%zz'), 'malformed'),
      {
        name: 'reads of a client that means well',
        run: () => meansWell(arena, unknown, `'cus_{n}'`),
      },
      { name: 'writes of a client that means well', run: () => writes(arena) },
    ];
  },
};

/** It may be refused, but its responses come in order, and little is begun at a time. */
function greedy(arena: Arena, name: string, text: string, marker: string): Check {
  const run = async () => {
    await arena.probe.reset();
    const requests = arena.run.long ? REQUESTS : FEWER_REQUESTS;
    const result = await send(arena, text, requests, marker);
    const { mostAtOnce, mostWaiting } = await arena.probe.counts();
    const findings = inOrder(result);
    if (result.served + result.closed < 1) {
      findings.push({ rule: 'order', what: 'neither a response nor closed' });
    }
    if (mostAtOnce > MAX_AT_ONCE) {
      findings.push({ rule: 'handlers', what: `${mostAtOnce} requests at once` });
    }
    if (mostWaiting > MAX_WAITING) {
      findings.push({ rule: 'waiting', what: `${mostWaiting} heads waited` });
    }
    return findings;
  };
  return { name, run };
}

/** It loses nothing. */
async function meansWell(arena: Arena, text: string, marker: string): Promise<Finding[]> {
  const result = await send(arena, text, WELL_BEHAVED, marker);
  const findings = inOrder(result);
  if (result.served < 1) {
    const got = Object.values(result.statuses).reduce((sum, times) => sum + times, 0);
    findings.push({ rule: 'order', what: `${got} of ${WELL_BEHAVED} responses` });
  }
  return findings;
}

/** Each of them is done once. */
async function writes(arena: Arena): Promise<Finding[]> {
  const before = await arena.rows();
  const text = post('/v1/customers', `${arena.authorization}${FORM}`, 'name=n{n4}');
  const findings = await meansWell(arena, text, '"n{n4}"');
  const made = (await arena.rows()) - before;
  if (made !== WELL_BEHAVED) findings.push({ rule: 'rows', what: `${made} customers were made` });
  return findings;
}

const send = (arena: Arena, text: string, times: number, marker: string) =>
  arena.raid({
    connections: 1,
    parts: [{ text, times }],
    responses: times,
    marker,
    ms: PATIENCE_MS,
  });

const inOrder = ({ misplaced }: RaidResult): Finding[] =>
  misplaced === 0 ? [] : [{ rule: 'order', what: `${misplaced} responses out of order` }];
