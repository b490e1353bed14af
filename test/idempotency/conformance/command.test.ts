/** The program `paidonce-check`: what it prints, and its exit codes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openShop } from '../shop.fixture';
import { COMMAND } from './command';
import { type NaiveServer, startNaiveServer } from './naive-server';

let folder: string;
let naive: NaiveServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'paidonce-check-'));
  naive = await startNaiveServer();
});
afterAll(async () => {
  await naive.close();
  rmSync(folder, { recursive: true });
});

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = spawn(process.execPath, [...COMMAND, ...args]);
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    program[stream].setEncoding('utf8').on('data', (text: string) => (output[stream] += text));
  }
  const [code] = (await once(program, 'close')) as [number];
  return { code, ...output };
}

/** Arguments for a profile and a config. */
function asked(profile: string, config: object): string[] {
  const file = join(folder, 'check.json');
  writeFileSync(file, JSON.stringify(config));
  return ['--profile', profile, '--config', file];
}

const ORDERS = {
  path: '/orders',
  body: { item: 'tea', amount: 1 },
  otherBody: { item: 'coffee', amount: 2 },
  headers: { authorization: 'a' },
  effects: { count: { path: '/orders', at: '' } },
  timeoutMs: 60_000,
};

it('prints a line for each check and a count, and ends with 1 if one has failed', async () => {
  const { code, stdout } = await run(naive.url, ...asked('draft', ORDERS));
  expect(stdout).toMatch(/^passed +first-request +201, and one effect\. \(R5, draft 2\.6\)\n/);
  expect(stdout).toContain('another body under the same key got 201, not 422. (R7, draft 2.7)\n');
  expect(stdout).toMatch(/profile draft: 3 passed, 3 failed, 10 not tried, in \d+\.\d s\n$/);
  expect(code).toBe(1);
});

it('ends with 0 if nothing has failed', async () => {
  const shop = await openShop('fastify');
  const { code, stdout } = await run(shop.url, ...asked('paidonce', ORDERS));
  await shop.close();
  expect(stdout).toMatch(/ 0 failed, /);
  expect(code).toBe(0);
});

it('prints JSON if asked', async () => {
  const { code, stdout } = await run(naive.url, ...asked('draft', ORDERS), '--json');
  expect(JSON.parse(stdout)).toMatchObject({
    url: `${naive.url}/`,
    profile: 'draft',
    failed: 3,
    durationMs: expect.any(Number),
    checks: expect.arrayContaining([
      {
        name: 'two-keys',
        rules: 'R5, draft 2.2',
        result: 'passed',
        saw: 'the same request with two keys had two effects.',
      },
    ]),
  });
  expect(code).toBe(1);
});

it('refuses another machine without --yes', async () => {
  const { code, stdout, stderr } = await run('http://shop.invalid', ...asked('draft', ORDERS));
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(
    /^shop\.invalid is not this machine\. .* If that is meant, add --yes\.\n$/,
  );
});

it('goes to another machine with --yes', async () => {
  const config = { ...ORDERS, effects: { identity: '/id' } };
  const { code, stdout } = await run('http://shop.invalid', ...asked('draft', config), '--yes');
  expect(stdout).toMatch(/^failed +first-request +POST \/orders failed: .*shop\.invalid/);
  expect(code).toBe(1);
});

it.each<[string, string[], string]>([
  ['no URL', [], 'Name one URL.\n'],
  ['no profile', ['http://localhost'], '--profile must be one of draft, paidonce, stripe.\n'],
  ['no config', ['http://localhost', '--profile', 'draft'], 'Name a file with --config.\n'],
  [
    'no file',
    ['http://localhost', '--profile', 'draft', '--config', 'no.json'],
    'The config cannot be read: ENOENT',
  ],
  ['an unknown option', ['--fast'], "Unknown option '--fast'"],
])('says what is wrong with %s, and ends with 2', async (_kind, args, sentence) => {
  const { code, stderr } = await run(...args);
  expect(stderr).toContain(sentence);
  expect(stderr).not.toContain('    at ');
  expect(code).toBe(2);
});

it('explains itself', async () => {
  const { code, stdout } = await run('--help');
  expect(stdout).toContain('paidonce-check URL --profile draft|paidonce|stripe --config FILE');
  expect(code).toBe(0);
});
