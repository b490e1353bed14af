/** The client in a real browser: a page of one origin that calls a server of another. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import type { RetryEvent, RetryOptions } from '../../src/client';
import { eventually } from '../support/eventually';
import {
  responds,
  breaksOffTheResponse,
  type Fault,
  FaultyServer,
  hangs,
  losesAfterTheWork,
  losesBeforeTheWork,
} from './faulty-server';

const ROOT = join(__dirname, '..', '..');
const PROGRAM = 'chromium';

const ARGUMENTS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'
    .split(' ')
    .concat(
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP shop.test 127.0.0.1',
    );

/** Reported as skipped where there is no chromium, but CI must have it. */
const hasChromium = process.env.CI === 'true' || spawnSync(PROGRAM, ['--version']).status === 0;

/** What the page is asked to do, and what it says about it. */
interface PageOrder {
  readonly url: string;
  readonly method?: string;
  readonly kind?: 'string' | 'Request' | 'form' | 'stream' | 'relative';
  readonly options?: Pick<RetryOptions, 'attemptTimeoutMs' | 'deadlineMs' | 'maxAttempts'>;
  /** Aborts while it waits for its first retry. */
  readonly abortWaiting?: boolean;
}
interface PageResult {
  readonly events: RetryEvent[];
  readonly status?: number;
  readonly text?: string;
  readonly url?: string;
  readonly report?: { attempts: number; idempotencyKey?: string; gaveUp?: { reason: string } };
  readonly error?: { name: string; message: string; reason?: string; mayHaveExecuted?: boolean };
}

const PAGE = `<!doctype html><title>shop</title><script type="module">
import { callReport, createRetryingFetch } from '/client.js';
window.ask = async ({ url, method = 'POST', kind = 'string', options, abortWaiting }) => {
  const events = [];
  const told = { events };
  const abort = new AbortController();
  const onRetry = ({ cause, ...event }) => {
    events.push(event);
    if (abortWaiting) setTimeout(() => abort.abort(new Error('enough')), 100);
  };
  const retrying = createRetryingFetch({ baseDelayMs: 5, ...options, onRetry });
  const form = new FormData();
  form.set('file', new File(['content'], 'a.txt'));
  const body = method === 'GET' ? undefined
    : { form, stream: new Blob(['a']).stream() }[kind] ?? 'amount=2000';
  const init = { method, body, signal: abort.signal, duplex: 'half' };
  try {
    const target = kind === 'relative' ? '/v1/here' : url;
    const response = await (kind === 'Request'
      ? retrying(new Request(target, init)) : retrying(target, init));
    const report = callReport(response);
    Object.assign(told, { status: response.status, url: response.url, text: await response.text(),
      report: { ...report, gaveUp: report.gaveUp && { reason: report.gaveUp.reason } } });
  } catch ({ name, message, reason, mayHaveExecuted }) {
    told.error = { name, message, reason, mayHaveExecuted };
  }
  return told;
};
document.title = 'ready';
</script>`;

let shop: FaultyServer;
let api: FaultyServer;
let profile: string;
let browser: BrowserContext;
let page: Page;

const ask = (wish: Omit<PageOrder, 'url'> = {}): Promise<PageResult> =>
  page.evaluate(
    (what) => (globalThis as unknown as { ask(wish: PageOrder): Promise<PageResult> }).ask(what),
    {
      url: `${api.url}/v1/payment_intents`,
      ...wish,
    },
  );

async function open(host: string): Promise<void> {
  await page.goto(shop.url.replace('127.0.0.1', host));
  await eventually('the page is ready', async () => (await page.title()) === 'ready');
}

(hasChromium ? describe : describe.skip)('in chromium', () => {
  beforeAll(async () => {
    profile = mkdtempSync(join(tmpdir(), 'paidonce-browser-'));
    const bundle = join(profile, 'client.js');
    const { status, stderr } = spawnSync(
      join(ROOT, 'node_modules', '.bin', 'esbuild'),
      [join(ROOT, 'src', 'client', 'index.ts'), '--bundle', '--format=esm', `--outfile=${bundle}`],
      { encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(stderr);
    shop = await FaultyServer.start();
    shop.otherwise = (context) => {
      const script = context.request.path === '/client.js';
      const type = script ? 'text/javascript' : 'text/html';
      return responds(
        200,
        { 'content-type': type },
        script ? readFileSync(bundle, 'utf8') : PAGE,
      )(context);
    };
    browser = await chromium.launchPersistentContext(join(profile, 'profile'), {
      executablePath: spawnSync('which', [PROGRAM], { encoding: 'utf8' }).stdout.trim(),
      args: ARGUMENTS,
      timeout: 120_000,
    });
    page = browser.pages()[0] ?? (await browser.newPage());
    await open('127.0.0.1');
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    await shop?.close();
    if (profile) rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  beforeEach(async () => {
    api = await FaultyServer.start();
    api.cors = true;
  });
  afterEach(() => api.close());

  it.each<[string, Fault, string]>([
    ['is lost before the work', losesBeforeTheWork, 'connection-lost'],
    ['is lost after the work', losesAfterTheWork, 'connection-lost'],
    ['breaks off', breaksOffTheResponse, 'connection-lost'],
    ['never comes', hangs, 'timeout'],
    ['is 503', responds(503), 'server-error'],
    ['is 429 with Retry-After', responds(429, { 'retry-after': '1' }), 'rate-limited'],
    ['is 409 in use', responds(409, {}, '{"code":"idempotency_key_in_use"}'), 'in-use'],
  ])('a payment is made once when its response %s', async (_how, fault, reason) => {
    api.plan(fault);
    const attemptTimeoutMs = fault === hangs ? 4_000 : 60_000;
    const told = await ask({ options: { attemptTimeoutMs, deadlineMs: 600_000 } });
    expect(told).toMatchObject({ status: 200, text: '{"id":"pi_1","amount":2000}' });
    expect(told.events).toMatchObject([{ attempt: 1, reason }]);
    expect(told.url).toBe(`${api.url}/v1/payment_intents`);
    if (reason === 'rate-limited') expect(told.events[0]?.pauseMs).toBeGreaterThanOrEqual(1_000);
    expect(told.report?.attempts).toBe(2);
    expect(api.effects).toBe(1);
    expect(api.keys).toEqual(Array(2).fill(told.report?.idempotencyKey));
    expect(api.seen.map(({ body }) => body)).toEqual(Array(2).fill('amount=2000'));
  });

  it.each(['Request', 'form'] as const)('a %s is the same on each attempt', async (kind) => {
    api.plan(responds(503), responds(503));
    expect(await ask({ kind })).toMatchObject({ status: 200, report: { attempts: 3 } });
    const sent = api.seen.map(({ headers, body }) => `${headers['content-type']} ${body}`);
    expect(sent).toHaveLength(3);
    expect(new Set(sent).size).toBe(1);
    expect(sent[0]).toContain(kind === 'form' ? 'content' : 'amount=2000');
  });

  it('a stream is refused before it is sent', async () => {
    const { error } = await ask({ kind: 'stream' });
    expect(error).toMatchObject({ name: 'RetryError', reason: 'not-repeatable' });
    expect(api.seen).toHaveLength(0);
  });

  it('a path alone is an address of the page', async () => {
    const told = await ask({ kind: 'relative', method: 'GET' });
    expect(told).toMatchObject({ status: 200, url: `${shop.url}/v1/here` });
  });

  it('is given up with the last response, or with an error', async () => {
    api.otherwise = responds(503);
    const last = await ask({ options: { maxAttempts: 2 } });
    expect(last).toMatchObject({ status: 503, report: { gaveUp: { reason: 'attempts' } } });
    api.otherwise = losesAfterTheWork;
    const { error } = await ask({ options: { maxAttempts: 2 } });
    expect(error).toMatchObject({ name: 'RetryError', reason: 'attempts', mayHaveExecuted: true });
  });

  it('is aborted while it waits', async () => {
    api.otherwise = responds(503, { 'retry-after': '3600' });
    const { error } = await ask({ abortWaiting: true, options: { deadlineMs: 86_400_000 } });
    expect(error).toMatchObject({ name: 'Error', message: 'enough' });
    expect(api.seen).toHaveLength(1);
  });

  it('says what is missing on a page that is not secure', async () => {
    await open('shop.test');
    const { error } = await ask();
    expect(error?.message).toMatch(/serve this page over https, or from localhost/);
    expect(api.seen).toHaveLength(0);
    expect(await ask({ method: 'GET' })).toMatchObject({ status: 200 });
    await open('127.0.0.1');
  });
});
