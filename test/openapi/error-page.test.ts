/** R24: the page that explains every error, and the links that lead there. */
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ERROR_CODES, ERROR_TYPES } from '../../src/wire';
import { sandboxCard, sandboxCardNames } from '../../src/sandbox-acquirer';
import { type RunningApp, startApp } from '../support/app';

const ROOT = join(__dirname, '..', '..');
const CODES = Object.keys(ERROR_CODES);
const NAMES = [...CODES, ...Object.keys(ERROR_TYPES)];

interface Refusal {
  readonly code?: string;
  readonly type: string;
  readonly doc_url?: string;
}

const apps: RunningApp[] = [];
async function start(env: Record<string, string> = {}, databaseUrl?: string): Promise<RunningApp> {
  const app = await startApp({ env, ...(databaseUrl === undefined ? {} : { databaseUrl }) });
  apps.push(app);
  return app;
}
afterEach(async () => {
  for (const app of apps.splice(0).toReversed()) await app.close();
});

async function send(app: RunningApp, path: string, body: string, headers = {}) {
  const response = await fetch(app.url + path, {
    method: 'POST',
    body,
    headers: {
      authorization: `Bearer ${app.apiKey}`,
      'content-type': 'application/x-www-form-urlencoded',
      ...headers,
    },
  });
  return response.text();
}

const errorIn = (body: string) => (JSON.parse(body) as { error: Refusal }).error;
const idsIn = (html: string) => [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);

it.each(['on', 'off'])('R24 is served to anybody with DOCS=%s', async (DOCS) => {
  const app = await start({ DOCS });
  const response = await fetch(`${app.url}/docs/errors`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const html = await response.text();
  const ids = idsIn(html);
  expect(ids).toEqual(expect.arrayContaining(NAMES));
  expect(new Set(ids).size).toBe(ids.length);
  const anchors = [...html.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
  expect(ids).toEqual(expect.arrayContaining(anchors));
});

it('runs no script and asks nobody for anything, and a browser holds it to that', async () => {
  const app = await start();
  const response = await fetch(`${app.url}/docs/errors`);
  const policy = response.headers.get('content-security-policy');
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; img-src data:; base-uri/);
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  const html = await response.text();
  expect(html).not.toMatch(/<script|<[^>]+\s(src|style|on\w+)=/i);
  expect(html.match(/href="(?!#|data:,)[^"]*"/g)).toBeNull();
  const etag = response.headers.get('etag') ?? '';
  const again = await fetch(`${app.url}/docs/errors`, { headers: { 'if-none-match': etag } });
  expect([again.status, again.headers.get('content-security-policy')]).toEqual([304, policy]);
});

describe('R24 doc_url', () => {
  it('leads to the section of the code, or of the type where there is no code', async () => {
    const app = await start();
    const bodies = [
      await send(app, '/v1/customers', 'emial=x'),
      await send(app, '/v1/customers', 'email=x'),
      await send(app, '/v1/payment_intents', 'amount=1&currency=usd'),
      await send(app, '/v1/customers/cus_x', ''),
      await send(app, '/v1/customers', '', { authorization: '' }),
      await send(app, '/v1/nothing', ''),
      await send(app, '/v1/customers/%', ''),
      await send(app, '/v1/customers', 'x', { 'content-type': 'text/plain' }),
      await rawResponse(app, 'hello\r\n\r\n'),
      await rawResponse(app, `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`),
    ];
    const html = await (await fetch(`${app.url}/docs/errors`)).text();
    for (const body of bodies) {
      const { code, type, doc_url } = errorIn(body);
      expect(doc_url).toBe(`${app.url}/docs/errors#${code ?? type}`);
      expect(idsIn(html)).toContain(code ?? type);
    }
    expect(bodies.map((body) => errorIn(body).code)).toEqual(
      expect.arrayContaining(['parameter_unknown', 'email_invalid', 'idempotency_key_missing']),
    );
  });

  it('begins with PUBLIC_URL, whatever Host the request names', async () => {
    const app = await start({ PUBLIC_URL: 'https://shop.example/pay/' });
    const unknown = await send(app, '/v1/customers', 'emial=x', {
      host: 'evil.example',
      'x-forwarded-host': 'evil.example',
    });
    expect(errorIn(unknown).doc_url).toBe('https://shop.example/pay/docs/errors#parameter_unknown');
  });

  it('stays as it was sent first: a replay has the same bytes (R15)', async () => {
    const before = await start({ PUBLIC_URL: 'https://old.example' });
    const payment = 'amount=2000&currency=usd&confirm=true&payment_method=pm_card_chargeDeclined';
    const headers = { 'idempotency-key': 'declined' };
    const first = await send(before, '/v1/payment_intents', payment, headers);
    expect(errorIn(first)).toMatchObject({
      code: 'card_declined',
      doc_url: 'https://old.example/docs/errors#card_declined',
    });
    const after = await start({ PUBLIC_URL: 'https://new.example' }, before.databaseUrl);
    const authorization = `Bearer ${before.apiKey}`;
    const replay = { ...headers, authorization };
    expect(await send(after, '/v1/payment_intents', payment, replay)).toBe(first);
    const missing = await send(after, '/v1/customers/cus_x', '', { authorization });
    expect(errorIn(missing).doc_url).toBe('https://new.example/docs/errors#resource_missing');
  });
});

describe('the table of errors', () => {
  const source = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /^(?!client\b).*\.ts$/.test(name) && !name.endsWith('error-table.ts'))
    .map((name) => readFileSync(join(ROOT, 'src', name), 'utf8'))
    .join('\n');

  // That every code that is sent has an entry is what the compiler checks.
  it.each(CODES)('%s is in the code', (code) => {
    expect(source).toContain(`'${code}'`);
  });

  it('has every code with which the sandbox declines', () => {
    const codes = sandboxCardNames.map((name) => sandboxCard(name)?.decline?.code);
    expect(CODES).toEqual(expect.arrayContaining(codes.filter((code) => code !== undefined)));
    const rules = readFileSync(join(ROOT, 'src/sandbox-acquirer/rules.ts'), 'utf8');
    const refused = [...rules.matchAll(/\(\s*'([a-z_]+)',\s*'[A-Z]/g)].map(([, code]) => code);
    // A refund that is refused is a refund with the status `failed`, and no error.
    expect(new Set(refused)).toEqual(
      new Set(['cancel_refused', 'capture_refused', 'invalid_card', 'refund_refused']),
    );
    expect(CODES).toEqual(
      expect.arrayContaining(refused.filter((code) => code !== 'refund_refused')),
    );
  });
});

/** The body that bytes on a socket are answered with. */
async function rawResponse({ port }: RunningApp, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  const response = await text(socket);
  return response.slice(response.indexOf('\r\n\r\n') + 4);
}
