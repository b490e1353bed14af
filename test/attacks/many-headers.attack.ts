/** A payment whose key stands behind more headers than Node keeps. */
import type { Arena } from './arena';
import type { Attack, Finding } from './attack';
import { FORM, PAYMENT, post } from './requests';

/** Before the key; Node keeps 1,000 pairs by itself and drops the others without a word. */
const COUNTS = [1_010, 1_900];
/** As many as any client needs. */
const FEW = 50;

export const manyHeaders: Attack<Arena> = {
  name: 'many-headers',
  about: `a payment, sent twice, with ${COUNTS[0]} headers in front of its Idempotency-Key`,
  // With the key lost the payment must not be refused for want of one.
  env: { IDEMPOTENCY_KEY_REQUIRED: 'none' },
  checks: (arena) => [
    { name: 'many headers', run: () => many(arena) },
    { name: 'few headers', run: () => few(arena) },
  ],
};

/** @param inFront the headers in front of the key, by their numbers */
async function pay(arena: Arena, count: number, key: string, inFront: (at: number) => string) {
  const lines = Array.from({ length: count }, (_, at) => `${inFront(at)}\r\n`).join('');
  const headers = `${arena.authorization}${FORM}${lines}idempotency-key: ${key}\r\n`;
  const text = post('/v1/payment_intents', headers, PAYMENT);
  const plan = { connections: 1, parts: [{ text }], responses: 1, ms: 20_000 };
  const { statuses } = await arena.raid(plan);
  return Object.keys(statuses).join() || 'no response';
}

async function many(arena: Arena): Promise<Finding[]> {
  const findings: Finding[] = [];
  const before = await arena.rows();
  const shapes: Record<string, (at: number) => string> = {
    'one name': () => 'a:1',
    'many names': (at) => `a${at.toString(36)}:`,
  };
  for (const count of COUNTS) {
    for (const [name, shape] of Object.entries(shapes)) {
      for (let time = 0; time < 2; time += 1) {
        const status = await pay(arena, count, `${count} ${name}`, shape);
        if (status === '431') continue;
        findings.push({ rule: 'refusal', what: `${status} for ${count} headers of ${name}` });
      }
    }
  }
  const made = (await arena.rows()) - before;
  if (made > 0) findings.push({ rule: 'payments', what: `${made} rows were written` });
  return findings;
}

/** A client that sends as many as any client needs is served, and pays once. */
async function few(arena: Arena): Promise<Finding[]> {
  const before = await arena.payments();
  const findings: Finding[] = [];
  for (let time = 0; time < 2; time += 1) {
    const status = await pay(arena, FEW, `few ${before}`, (at) => `a${at}: 1`);
    if (status !== '200') findings.push({ rule: 'refusal', what: `${status} for ${FEW}` });
  }
  const made = (await arena.payments()) - before;
  if (made !== 1) findings.push({ rule: 'payments', what: `it was paid ${made} times` });
  return findings;
}
