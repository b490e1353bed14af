/** Clients that request much at once, read nothing, and stay or disappear. */
import { eventually } from '../support/eventually';
import { type Arena, MB } from './arena';
import type { Attack, Check, Finding } from './attack';
import type { Part } from './raid';
import { head } from './requests';

const CONNECTIONS = 100;
const REQUESTS = 1_000;
/** Requests of one connection that are worked on at a time. */
const MAX_AT_ONCE = 4;
/** One at first: without a defence one is enough. A short run does not need all of them. */
const WAVES = [1, 9, CONNECTIONS - 10];
const SHORT_WAVES = [1, 9];
/** What may be alive of connections that are gone, once garbage was collected. */
const MAX_LEFT_BYTES = 30 * MB;
/** Responses that fill what the kernels hold, and heads that wait behind them, all read at once. */
const LARGE_REQUESTS = 16;
const TINY = 'GET / HTTP/1.1\r\n\r\n';
const TINY_REQUESTS = 3_500;
/** What may be alive of all of them. */
const MAX_HELD_BYTES = 60 * MB;
const HOLDERS = 20;
/** How long the server may take to notice that a client is gone. */
const NOTICE_MS = 10_000;

/** How long a client stays, ms: not at all, or until the server has begun. */
const STAYS_MS = [0, 300];

export const deadConnections: Attack<Arena> = {
  name: 'dead-connections',
  about: `${CONNECTIONS} connections ask for ${REQUESTS} responses each, read none, and are gone`,
  checks(arena) {
    const { authorization } = arena;
    const gzip = 'accept-encoding: gzip\r\n';
    const requests = {
      'the bundle': head('GET', '/docs/swagger-ui-bundle.js'),
      'a list': head('GET', '/v1/customers?limit=1', authorization),
      'the compressed bundle': head('GET', '/docs/swagger-ui-bundle.js', gzip),
      'the document': head('GET', '/openapi.json'),
      'an expectation nobody can meet': head('GET', '/', 'expect: tea\r\n'),
      'a URL that does not parse': head('GET', '/v1/%zz'),
      'an unknown object': head('GET', '/v1/customers/cus_{n}', authorization),
    };
    const all = Object.entries(requests).flatMap(([what, text]) =>
      STAYS_MS.map((stayMs) => waves(arena, `${what}, gone after ${stayMs} ms`, text, stayMs)),
    );
    // The others differ from these in their way through Fastify alone.
    const most = arena.run.long ? all.length : 2 * STAYS_MS.length;
    return [...all.slice(0, most), { name: 'clients that stay', run: () => staying(arena) }];
  },
};

function waves(arena: Arena, name: string, text: string, stayMs: number): Check {
  const run = async () => {
    const { probe } = arena;
    const before = await arena.memory();
    await probe.reset();
    for (const connections of arena.run.long ? WAVES : SHORT_WAVES) {
      await arena.raid(plan([{ text, times: REQUESTS }], stayMs, connections));
      const found = await left(arena, before.used);
      if (found.length > 0) return found;
    }
    return [];
  };
  return { name, run };
}

const plan = (parts: readonly Part[], stayMs: number, connections: number, hold = false) =>
  ({
    connections,
    parts: [...parts, { wait: 'sent' }, { wait: stayMs }],
    reads: 'never',
    hold,
    ms: 30_000,
  }) as const;

/** What there is of connections that are gone. */
async function left(arena: Arena, beforeBytes: number): Promise<Finding[]> {
  const { probe } = arena;
  await arena.caughtUp();
  const noticed = async () => (await probe.counts()).alive === 0;
  await eventually('they are closed', noticed, NOTICE_MS).catch(() => undefined);
  const kept = await arena.kept(beforeBytes, MAX_LEFT_BYTES);
  const { alive, orphans, mostAtOnce } = await probe.counts();
  const found: Finding[] = [];
  if (alive > 0) found.push({ rule: 'closing', what: `${alive} connections are kept` });
  if (orphans > 0) found.push({ rule: 'closing', what: `${orphans} responses are kept` });
  if (kept > MAX_LEFT_BYTES) {
    found.push({ rule: 'memory', what: `${Math.round(kept / MB)} MB are kept` });
  }
  if (mostAtOnce > MAX_AT_ONCE) {
    found.push({ rule: 'handlers', what: `${mostAtOnce} requests at once` });
  }
  return found;
}

/** What there is of connections whose clients stay and read nothing. */
async function staying(arena: Arena): Promise<Finding[]> {
  const before = await arena.memory();
  const text = head('GET', '/docs/swagger-ui-bundle.js');
  const parts = [
    { text, times: LARGE_REQUESTS },
    { text: TINY, times: TINY_REQUESTS },
  ];
  await arena.raid(plan(parts, 300, HOLDERS, true));
  await arena.caughtUp();
  const held = (await arena.memory()).used - before.used;
  await arena.release();
  const found = await left(arena, before.used);
  if (held <= MAX_HELD_BYTES) return found;
  const what = `${Math.round(held / MB)} MB are held for ${HOLDERS} connections`;
  return [...found, { rule: 'memory', what }];
}
