/** Addresses that run where the shop believes that it sends its buyer back. */
import type { Arena } from './arena';
import type { Attack, Finding } from './attack';
import { FORM, PAYMENT, post } from './requests';

const disguises = [
  'javascript:alert(1)',
  'JavaScript:alert(1)',
  'jAvAsCrIpT:alert(1)',
  ' javascript:alert(1)',
  '\tjavascript:alert(1)',
  '\u0001javascript:alert(1)',
  '\u00a0javascript:alert(1)',
  '\ufeffjavascript:alert(1)',
  'java\nscript:alert(1)',
  'java\tscript:alert(1)',
  'java\rscript:alert(1)',
  'javascript\n:alert(1)',
  'javascript://shop.example/%0aalert(1)',
  'javascript:https://shop.example',
  'data:text/html,<script>alert(1)</script>',
  'DATA:text/html;base64,PHNjcmlwdD4=',
  'vbscript:msgbox(1)',
  'view-source:javascript:alert(1)',
  'blob:https://shop.example/1',
  'filesystem:https://shop.example/1',
  'file:///etc/passwd',
  'about:blank',
  'jar:https://shop.example!/',
  'ftp://shop.example/',
  'ws://shop.example/',
  '//shop.example/',
  '/thanks',
  'shop.example/thanks',
  'https://',
  'https:///',
  'http://:80',
  'https://shop.example\njavascript:alert(1)',
];
/** Where shops do send their buyers back to. */
const harmless = [
  'https://shop.example/thanks?a=1#b',
  'http://127.0.0.1:3000/',
  'shopapp://thanks',
];

const INTENTS = '/v1/payment_intents';

export const returnUrls: Attack<Arena> = {
  name: 'return-urls',
  about: 'javascript: and its disguises as the address that a buyer is sent back to',
  checks(arena) {
    const payments = new Payments(arena);
    return [
      { name: 'a payment', run: () => payments.refuseAll() },
      { name: 'a confirmation', run: () => payments.refuseAllConfirmations() },
      { name: 'harmless ones', run: () => payments.expect('200', harmless) },
    ];
  },
};

class Payments {
  #sent = 0;

  constructor(private readonly arena: Arena) {}

  async send(path: string, form: string): Promise<{ status: string; id?: string }> {
    this.#sent += 1;
    const key = `${Date.now()} ${this.#sent}`;
    const headers = `${this.arena.authorization}${FORM}idempotency-key: ${key}\r\n`;
    const parts = [{ text: post(path, headers, form) }];
    const { bodies } = await this.arena.raid({ connections: 1, parts, responses: 1, ms: 20_000 });
    const [[status, body] = ['no response', '']] = Object.entries(bodies);
    return { status, id: /"id":"(pi_\w+)"/.exec(body)?.[1] };
  }

  async refuseAll(): Promise<Finding[]> {
    const before = await this.arena.rows();
    const findings = await this.expect('400', disguises);
    const made = (await this.arena.rows()) - before;
    return made === 0 ? findings : [...findings, { rule: 'payments', what: `${made} rows` }];
  }

  async refuseAllConfirmations(): Promise<Finding[]> {
    const { id } = await this.send(INTENTS, 'amount=2000&currency=usd');
    const form = 'payment_method=pm_card_visa';
    const findings = await this.expect('400', disguises, `${INTENTS}/${id}/confirm`, form);
    const paid = await this.arena.count(
      `SELECT count(*) FROM payment_intents WHERE account = $1 AND id = '${id}'
       AND latest_charge IS NOT NULL`,
    );
    return paid === 0 ? findings : [...findings, { rule: 'payments', what: 'it was paid' }];
  }

  /** A request for each of them, and those whose status was another one. */
  async expect(
    expected: string,
    urls: readonly string[],
    path = INTENTS,
    form = PAYMENT,
  ): Promise<Finding[]> {
    const findings: Finding[] = [];
    for (const url of urls) {
      const { status } = await this.send(path, `${form}&return_url=${encodeURIComponent(url)}`);
      if (status === expected) continue;
      findings.push({ rule: 'refusal', what: `${status} for ${JSON.stringify(url)}` });
    }
    return findings;
  }
}
