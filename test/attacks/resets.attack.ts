/** Clients that reset their connections in the middle of everything. */
import type { Arena } from './arena';
import type { Attack, Finding } from './attack';
import type { Part } from './raid';
import { FORM, head, PAYMENT, post } from './requests';

const CLIENTS = 200;
const BYTES = 100_000;

export const resets: Attack<Arena> = {
  name: 'resets',
  about: `${CLIENTS} clients reset their connections: in a head, in a body, in and before a response`,
  checks(arena) {
    const headers = arena.authorization + FORM;
    const to = (more: string): Part => ({ text: head('POST', '/v1/customers', more) });
    const half = { text: 'a', times: BYTES / 2 };
    const promised = `content-length: ${BYTES}\r\n`;
    const payment = post('/v1/payment_intents', `${headers}idempotency-key: {c}\r\n`, PAYMENT);
    const moments: Record<string, Part[]> = {
      'in a head': [{ text: head('POST', '/v1/customers', headers).slice(0, -4) }],
      'in a body': [to(headers + promised), half],
      'in a body of chunks': [
        to(`${headers}transfer-encoding: chunked\r\n`),
        { text: '400\r\naaa' },
      ],
      'in a body nobody asked for': [to(promised), half],
      'before the response': [{ text: payment }],
      'in a response': [{ text: head('GET', '/docs/swagger-ui-bundle.js') }],
    };
    return Object.entries(moments).map(([name, parts]) => ({
      name,
      run: () => reset(arena, parts),
    }));
  },
};

/** Once what was sent has left, and the server has had a moment to begin. */
async function reset(arena: Arena, parts: readonly Part[]): Promise<Finding[]> {
  await arena.raid({
    connections: CLIENTS,
    parts: [...parts, { wait: 'sent' }, { wait: 50 }],
    reads: 'never',
    leave: 'reset',
    ms: 20_000,
  });
  return serves(arena);
}

/** What the log says is judged in every attack. */
async function serves(arena: Arena): Promise<Finding[]> {
  const text = head('GET', '/v1/customers?limit=1', arena.authorization);
  const plan = { connections: 1, parts: [{ text }], responses: 1, ms: 20_000 };
  const { statuses } = await arena.raid(plan);
  return statuses['200'] === 1 ? [] : [{ rule: 'closing', what: 'the server serves no more' }];
}
