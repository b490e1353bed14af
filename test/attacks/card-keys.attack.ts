/** Idempotency keys that are card numbers. */
import type { Arena } from './arena';
import type { Attack, Finding } from './attack';
import { FORM, head, PAYMENT, post } from './requests';

const CARDS = ['4242424242424242', '378282246310005', '5555555555554444', '6011111111111117'];
const digitsOf = (card: string) => card.match(/.{1,4}/g) ?? [];

const fullWidth = (digit: string) => String.fromCodePoint(0xff10 + Number(digit));

/** As they may stand in a header. */
const keys = CARDS.flatMap((card) => [
  card,
  digitsOf(card).join(' '),
  digitsOf(card).join('-'),
  `"${card}"`,
  `order ${card}`,
  `${card}, again`,
  `(${digitsOf(card).join(' ')})`,
]);
/** As they may stand in a path. */
const paths = CARDS.flatMap((card) => [
  card,
  digitsOf(card).join('-'),
  digitsOf(card).join('%20'),
  card.replaceAll(/\d/g, (digit) => encodeURIComponent(fullWidth(digit))),
  card.replaceAll(/\d/g, (digit) => `%3${digit}`),
  digitsOf(card).join('%E2%80%93'),
]);
/** A letter in front makes it something else. */
const HARMLESS = 'order-N4242424242424242';

export const cardKeys: Attack<Arena> = {
  name: 'card-keys',
  about: 'card numbers as idempotency keys, in the header and in the path that looks a key up',
  checks(arena) {
    const headers = arena.authorization + FORM;
    const lookUp = (path: string) => head('GET', `/v1/idempotency_keys/${path}`, headers);
    return [
      { name: 'in the header', run: () => refused(arena, keys, (key) => payment(arena, key)) },
      { name: 'in the path', run: () => refused(arena, paths, lookUp) },
      { name: 'a letter in front', run: () => accepted(arena) },
    ];
  },
};

const payment = ({ authorization }: Arena, key: string): string => {
  const headers = `${authorization}${FORM}idempotency-key: ${key}\r\n`;
  return post('/v1/payment_intents', headers, PAYMENT);
};

const send = (arena: Arena, text: string) =>
  arena.raid({ connections: 1, parts: [{ text }], responses: 1, ms: 20_000 });

/** Neither stored nor logged nor repeated. */
async function refused(
  arena: Arena,
  all: readonly string[],
  requestOf: (key: string) => string,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const before = await arena.rows();
  for (const key of all) {
    const { bodies } = await send(arena, requestOf(key));
    const [[status, body] = ['no response', '']] = Object.entries(bodies);
    if (status !== '400' || !body.includes('idempotency_key_invalid')) {
      findings.push({ rule: 'refusal', what: `${status} for ${key}` });
    }
    if (holdsCard(body)) findings.push({ rule: 'log', what: `${key} stands in the response` });
  }
  const made = (await arena.rows()) - before;
  if (made > 0) findings.push({ rule: 'rows', what: `${made} rows were written` });
  if (holdsCard(arena.log)) findings.push({ rule: 'log', what: 'a card number is in the log' });
  return findings;
}

async function accepted(arena: Arena): Promise<Finding[]> {
  const { statuses } = await send(arena, payment(arena, HARMLESS));
  return statuses['200'] === 1 ? [] : [{ rule: 'refusal', what: `${HARMLESS} was refused` }];
}

/** Whether a text holds one of the numbers, however it is grouped or written. */
function holdsCard(text: string): boolean {
  const digits = text
    .replaceAll(HARMLESS, '')
    .normalize('NFKC')
    .replaceAll(/[^0-9a-z]/gi, '');
  return CARDS.some((card) => digits.includes(card));
}
