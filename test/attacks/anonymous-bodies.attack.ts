/** Large bodies of requests without a valid API key. */
import { type Arena, MB } from './arena';
import type { Attack, Check, Finding } from './attack';
import type { Part, Raid, RaidResult } from './raid';
import { FORM, head } from './requests';

const CONNECTIONS = 500;
/** Of a short run. */
const FEWER_CONNECTIONS = 150;
const BYTES = 1_000_000;
/** What the server may have more, with all of them waiting, of what is alive: a connection is some KB. */
const MAX_ALIVE_BYTES = 30 * MB;
const MAX_RSS_BYTES = 60 * MB;
/** How long a refusal is waited for, ms: with all of them sending, and on a slow machine. */
const PATIENCE_MS = 30_000;
/** Where it never comes, because its defence was taken away. */
const PLANTED_PATIENCE_MS = 5_000;
/** Bodies that never end are taken for 5 s after the refusal, and this is given to a slow machine. */
const MAX_DISCARDING_MS = 10_000;
/** The documentation needs no key. */
const REFUSALS = ['200', '401', '404'];
/** What is taken of a refused body: 16 MB, and what the kernels hold. */
const MAX_DISCARDED_BYTES = 32 * MB;
/** Keys in the right format that belong to no account. */
const MADE_UP_KEYS = [1, 2, 3, 4, 5].map((digit) => `sk_test_${'1'.repeat(42)}${digit}`);
/** How often each of two connections tries each of them. */
const GUESSES = 400;
const HONEST = 30;

const key = (name: string) => `authorization: Bearer ${name}\r\n`;
const length = (bytes: number) => `${FORM}content-length: ${bytes}\r\n`;
/** All of a body but its last byte. */
const held: Part = { text: 'a', times: BYTES - 1 };

export const anonymousBodies: Attack<Arena> = {
  name: 'anonymous-bodies',
  about: `${CONNECTIONS} connections without a valid key send 1 MB each, and keep back its last byte`,
  checks(arena) {
    const heads = {
      'no key': head('POST', '/v1/customers', length(BYTES)),
      'malformed keys': head('POST', '/v1/customers', key('sk_test_{c}') + length(BYTES)),
      'an unknown path of the API': head('POST', '/v1/nothing', length(BYTES)),
      'an unknown path': head('POST', '/nothing', length(BYTES)),
      'the page of the documentation': head('GET', '/docs', length(BYTES)),
    };
    const made = MADE_UP_KEYS.map((name) =>
      head('POST', '/v1/customers', key(name) + length(BYTES)),
    );
    return [
      ...Object.entries(heads).map(([what, text]) => withheld(arena, what, [text])),
      withheld(arena, 'unknown keys', made),
      { name: 'guesses', run: () => guesses(arena) },
      ...honest(arena),
      ...endless(arena),
    ];
  },
};

/** Every request is refused at once, and no body is kept. */
function withheld(arena: Arena, name: string, heads: readonly string[]): Check {
  const { probe } = arena;
  const run = async () => {
    const before = await arena.memory();
    await probe.reset();
    const connections = arena.run.long ? CONNECTIONS : FEWER_CONNECTIONS;
    const results = await arena.raids(
      heads.map((text) => ({
        connections: connections / heads.length,
        parts: [{ text }, held],
        responses: 1,
        hold: true,
        ms: arena.run.planted ? PLANTED_PATIENCE_MS : PATIENCE_MS,
      })),
    );
    const more = probe.highestRss - before.rss;
    const alive = (await arena.memory()).used - before.used;
    return [...results.flatMap(refusalFindings), ...memoryFindings(arena, alive, more)];
  };
  return { name, run };
}

function refusalFindings(result: RaidResult): Finding[] {
  const { served, connections, closed, timedOut, broken, statuses } = result;
  const wrong = Object.keys(statuses).filter((status) => !REFUSALS.includes(status));
  const findings: Finding[] = wrong.map((status) => ({ rule: 'refusal', what: `a ${status}` }));
  if (served === connections) return findings;
  const what =
    `${served} of ${connections} got a response before the body was there; ${closed} closed ` +
    `(${JSON.stringify(broken)}), ${timedOut} timed out`;
  return [...findings, { rule: 'refusal', what }];
}

/** @param alive with all of them waiting @param more resident at the most; judged in a long run */
function memoryFindings({ run }: Arena, alive: number, more: number): Finding[] {
  const inMb = (bytes: number) => Math.round(bytes / MB);
  const found: Finding[] = [];
  if (alive > MAX_ALIVE_BYTES) {
    found.push({ rule: 'memory', what: `${inMb(alive)} MB were kept` });
  }
  if (run.long && more > MAX_RSS_BYTES) {
    found.push({ rule: 'memory', what: `${inMb(more)} MB more at a time` });
  }
  return found;
}

/** The same keys again and again: what was not found is remembered for a while. */
async function guesses(arena: Arena): Promise<Finding[]> {
  const started = performance.now();
  const results = await arena.raids(
    MADE_UP_KEYS.map((name) => ({
      connections: 2,
      parts: [{ text: head('GET', '/v1/customers', key(name)), times: GUESSES }],
      responses: GUESSES,
      ms: 60_000,
    })),
  );
  arena.allowLookups(MADE_UP_KEYS.length, performance.now() - started);
  const lost = results.filter(({ served, connections }) => served < connections);
  return lost.map(({ statuses }) => ({ rule: 'refusal', what: JSON.stringify(statuses) }));
}

interface Way extends Pick<Raid, 'parts' | 'reads' | 'responses'> {
  /** Of each response. Default: 401. */
  readonly status?: string;
}

/** A client that sends everything first, and reads then, gets its refusal and not a broken connection. */
function honest(arena: Arena): Check[] {
  const body: Part = { text: 'a', times: BYTES };
  const to = (headers: string): Part => ({ text: head('POST', '/v1/customers', headers) });
  const headers = key(MADE_UP_KEYS[0]!) + length(BYTES);
  const again = [to(headers), body];
  const ways: Record<string, Way> = {
    'a client that keeps its connection': { parts: [...again, ...again], responses: 2 },
    'a client that sends more than the limit': {
      parts: [to(arena.authorization + length(2 * BYTES)), body, body],
      status: '413',
    },
    'a client that closes its connection': { parts: [to(`${headers}connection: close\r\n`), body] },
    'a client that expects 100-continue': {
      parts: [to(`${headers}expect: 100-continue\r\n`), { wait: 'continue' }, body],
      reads: 'always',
    },
  };
  return Object.entries(ways).map(([name, way]) => ({ name, run: () => send(arena, way) }));
}

async function send(arena: Arena, way: Way): Promise<Finding[]> {
  const { parts, reads = 'when sent', responses = 1, status = '401' } = way;
  const plan = { connections: HONEST, atOnce: 4, parts, reads, responses, ms: PATIENCE_MS };
  const { statuses, served, broken } = await arena.raid(plan);
  if (served === HONEST && statuses[status] === responses * HONEST) return [];
  return [{ rule: 'refusal', what: `${JSON.stringify(statuses)} ${JSON.stringify(broken)}` }];
}

/** Bodies that stall, or have no end, cost their connection. All at once: most of it is waiting. */
function endless(arena: Arena): Check[] {
  const to = (headers: string): Part => ({ text: head('POST', '/v1/customers', headers) });
  const chunked = to(`${FORM}transfer-encoding: chunked\r\n`);
  const chunk = `400\r\n${'a'.repeat(1024)}\r\n`;
  const again = (parts: Part[], times: number) => Array.from({ length: times }, () => parts).flat();
  const ways: Record<string, Part[]> = {
    'stalls half-way': [to(length(BYTES)), { text: 'a', times: BYTES / 2 }],
    'drips for ever': [chunked, ...again([{ text: chunk }, { wait: 100 }], 200)],
    'streams for ever': [
      chunked,
      ...again([{ text: chunk, times: 256 }, { wait: 'sent' }], 4 * 64),
    ],
    'announces a gigabyte': [
      to(length(2 ** 30)),
      ...again([{ text: 'a', times: MB / 4 }, { wait: 'sent' }], 4 * 64),
    ],
  };
  const names = Object.keys(ways);
  const run = async () => {
    const results = await arena.raids(
      Object.values(ways).map((parts) => ({ connections: 4, parts, ms: MAX_DISCARDING_MS })),
    );
    return results.flatMap((result, at) => endFindings(`a body that ${names[at]}`, result));
  };
  return [{ name: 'bodies without an end', run }];
}

function endFindings(what: string, { closed, connections, mostBytes }: RaidResult): Finding[] {
  const findings: Finding[] = [];
  if (closed < connections) findings.push({ rule: 'closing', what: `nobody closed ${what}` });
  if (mostBytes > MAX_DISCARDED_BYTES) {
    findings.push({
      rule: 'closing',
      what: `${Math.round(mostBytes / MB)} MB of ${what} were taken`,
    });
  }
  return findings;
}
