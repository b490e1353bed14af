/** Bodies that were made to be expensive to read. */
import { type Arena, MB } from './arena';
import type { Attack, Finding } from './attack';
import { numbered } from './raid';
import { FORM, head, JSON_TYPE } from './requests';

/** The largest body that the server takes, and smaller ones, where what is not linear shows itself. */
const SIZES = [16 * 1024, 64 * 1024, 256 * 1024, MB];
/** What reading a body may cost the server's process: far more than it does, far less than quadratic. */
const BASE_CPU_MS = 100;
const CPU_MS_PER_MB = 900;
const PATIENCE_MS = 120_000;

interface Kind {
  readonly name: string;
  readonly before: string;
  /** Repeated until the body has its size; for what is in braces see `TextPart`. */
  readonly text: string;
  readonly after: string;
  readonly type: string;
  /** How the refusal reads; where nothing is wrong with the body, that it is accepted. */
  readonly expected: RegExp | 'accepted';
}

const ANY = /"error"/;
const TOO_MANY = /at most 1000 are accepted/;
const TOO_DEEP = /at most 8 levels are accepted/;

const json = (
  what: string,
  { before, text, after }: { before: string; text: string; after: string },
  expected: Kind['expected'] = ANY,
): Kind => ({ name: `${what} in JSON`, type: JSON_TYPE, before, text, after, expected });
const form = (
  what: string,
  before: string,
  text: string,
  expected: Kind['expected'] = ANY,
): Kind => ({ name: `${what} in a form`, type: FORM, before, text, after: '', expected });
/** A text as the value of a parameter, and as its name. */
const value = (what: string, text: string): Kind[] => [
  json(what, { before: '{"name":"', text: text, after: '"}' }),
  json(`${what} as a name`, { before: '{"', text: text, after: '":1}' }),
  form(what, 'name=', text),
];

const SIX_DEEP = `${'{"a":'.repeat(6)}1${'}'.repeat(6)}`;
const MARKED = `a${'\u0301\u0316'.repeat(7)}`;

const kinds: readonly Kind[] = [
  ...value('combining marks', '\u0301'),
  ...value('combining marks out of order', '\u0301\u0316'),
  ...value('marks that come apart', '\u{1d160}'),
  ...value('marked letters', MARKED),
  ...value('card numbers behind marked letters', `${MARKED}4242424242424242`),
  ...value('marks between the digits of a card number', '4\u03012\u0316'),
  ...value('ligatures of 18 letters', '\ufdfa'),
  ...value('half syllables', '\u1100\u1161'),
  ...value('groups of a card number', '424-'),
  ...value('plus signs before digits', '+424 '),
  ...value('wrong card numbers', '4242424242424241 '),
  ...value('digits', '4'),
  ...value('full-width digits', '\uff14'),
  ...value('zero-width characters between digits', '4\u200b'),
  ...value('pairs of surrogates', '\u{1f4b3}'),
  ...value('every character there is', '{u3}{u4}'),
  form('escaped combining marks', 'name=', '%CC%81%CC%96'),
  json('escaped marks', { before: '{"name":"', text: '\\u0301', after: '"}' }),
  json('half surrogate pairs', { before: '{"name":"', text: '\\ud83d', after: '"}' }),
  json('open lists', { before: '{"name":', text: '[', after: '' }, TOO_DEEP),
  json('open hashes', { before: '', text: '{"a":', after: '' }, TOO_DEEP),
  json('closed lists', { before: '{"name":[]', text: ']', after: '' }),
  json('values', { before: '{"name":[1', text: ',1', after: ']}' }, TOO_MANY),
  json('empty hashes', { before: '{"name":[{}', text: ',{}', after: ']}' }, TOO_MANY),
  json('values eight deep', { before: '{"name":[1', text: `,${SIX_DEEP}`, after: ']}' }, TOO_MANY),
  json('names', { before: '{"name":1', text: ',"{n4}":1', after: '}' }, TOO_MANY),
  json('one name again and again', { before: '{"name":1', text: ',"a":1', after: '}' }, TOO_MANY),
  json('one long number', { before: '{"name":1', text: '1', after: '}' }),
  json('one long fraction', { before: '{"name":0.', text: '1', after: '}' }),
  json('white space', { before: '{', text: ' ', after: '}' }, 'accepted'),
  form('ampersands', 'name=a', '&', 'accepted'),
  form('names', 'name=a', '&{n4}=1', TOO_MANY),
  form('values', 'name=a', '&a[]=1', TOO_MANY),
  form('one long name', '', 'a'),
  form('open brackets', '', '[', TOO_DEEP),
  form('pairs of brackets', 'a', '[a]', TOO_DEEP),
  form('names eight deep', 'name=a', '&a[b][c][d][e][f][g][{n4}]=1', TOO_MANY),
  form('escapes', 'name=', '%41'),
  form('broken escapes', 'name=', '%'),
  form('spaces', 'name=', '+'),
  form('equals signs', 'name', '='),
];

export const bodyCost: Attack<Arena> = {
  name: 'body-cost',
  about:
    'bodies of up to 1 MB that are expensive to read, as JSON and as forms, and in tiny chunks',
  checks: (arena) => [
    ...kinds.map((kind) => ({ name: kind.name, run: () => sendKind(arena, kind) })),
    { name: 'chunks of one byte', run: () => tinyChunks(arena) },
  ],
};

/** Ever larger ones, until one costs too much: the next would cost all the more. */
async function sendKind(arena: Arena, kind: Kind): Promise<Finding[]> {
  for (const bytes of SIZES) {
    const size = `${bytes / 1024} KB`;
    const { probe } = arena;
    const before = probe.cpuMs;
    const { statuses, bodies } = await arena.raid(raidOf(kind, bytes, arena.authorization));
    const cpuMs = Math.round(probe.cpuMs - before);
    arena.cost(cpuMs, `${kind.name}, ${size}`);
    const [status = 'no response'] = Object.keys(statuses);
    const isLargest = bytes === SIZES.at(-1);
    if (!isExpected(kind, status, bodies[status] ?? '', isLargest)) {
      return [
        { rule: 'refusal', what: `${size}: ${status} ${bodies[status] ?? ''}`.slice(0, 200) },
      ];
    }
    if (cpuMs > BASE_CPU_MS + (CPU_MS_PER_MB * bytes) / MB) {
      return [{ rule: 'cost', what: `${size} cost ${cpuMs} ms of the processor` }];
    }
  }
  return [];
}

/** A small body may be refused for another reason than a large one. */
function isExpected({ expected }: Kind, status: string, body: string, isLargest: boolean): boolean {
  if (expected === 'accepted') return status === '200';
  return status.startsWith('4') && (isLargest ? expected : ANY).test(body);
}

function raidOf({ before, text, after, type }: Kind, bytes: number, authorization: string) {
  const around = Buffer.byteLength(before) + Buffer.byteLength(after);
  const one = Buffer.byteLength(numbered(text, 0));
  const times = Math.floor((bytes - around) / one);
  const headers = `${authorization}${type}content-length: ${around + times * one}\r\n`;
  return {
    connections: 1,
    parts: [
      { text: head('POST', '/v1/customers', headers) + before },
      { text, times },
      { text: after },
    ],
    responses: 1,
    ms: PATIENCE_MS,
  };
}

const CHUNKS = 40_000;
const CHUNKED_BODIES = 10;
/** Of all of them: they are whole neither before nor after they are refused. */
const MAX_ALIVE_BYTES = 40 * MB;

/** Each chunk is an object, some 400 bytes, until the body is whole: these are never. */
async function tinyChunks(arena: Arena): Promise<Finding[]> {
  const { authorization } = arena;
  const before = await arena.memory();
  const headers = `${authorization}${FORM}transfer-encoding: chunked\r\n`;
  const { statuses } = await arena.raid({
    connections: CHUNKED_BODIES,
    parts: [
      { text: head('POST', '/v1/customers', headers) },
      { text: '1\r\na\r\n', times: CHUNKS },
      { wait: 'sent' },
    ],
    responses: 1,
    hold: true,
    ms: 5_000,
  });
  const alive = (await arena.memory()).used - before.used;
  const found: Finding[] = [];
  if (statuses['413'] !== CHUNKED_BODIES) {
    found.push({ rule: 'refusal', what: `${JSON.stringify(statuses)} of ${CHUNKED_BODIES}` });
  }
  if (alive > MAX_ALIVE_BYTES) {
    found.push({ rule: 'memory', what: `${Math.round(alive / MB)} MB were kept` });
  }
  return found;
}
