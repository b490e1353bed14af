/** `npm run keys` as a program: what it prints, what it refuses, and keys that work. */
import { freshDatabase, type FreshDatabase } from '../support/database';
import { Program, type RunningServer, startServer, stopAll } from '../support/server';

let database: FreshDatabase;
let server: RunningServer;

beforeAll(async () => {
  database = await freshDatabase();
  server = await startServer({ databaseUrl: database.url });
});
afterAll(async () => {
  await stopAll();
  await database.drop();
});

async function keys(...args: string[]) {
  const program = Program.start('commands/keys', { args, env: { DATABASE_URL: database.url } });
  const { code } = await program.ended;
  return { code, stdout: program.stdout, stderr: program.stderr };
}

const status = async (key: string) =>
  (await fetch(`${server.url}/v1/customers`, { headers: { authorization: `Bearer ${key}` } }))
    .status;

describe('npm run keys', () => {
  it('create makes an account and a key that works; list shows it; revoke ends it', async () => {
    const created = await keys('create', '--account', 'shop');
    expect(created).toMatchObject({ code: 0, stderr: '' });
    const [key = ''] = created.stdout.split('\n', 1);
    expect(key).toMatch(/^sk_test_[0-9A-Za-z]{43}$/);
    expect(await status(key)).toBe(200);

    const list = await keys('list', '--account', 'shop');
    expect(list.code).toBe(0);
    const [id = ''] = list.stdout.split(' ', 1);
    expect(created.stdout).toContain(id);
    expect(list.stdout).toContain(`sk_test_…${key.slice(-4)}`);
    expect(list.stdout).not.toContain(key);

    const revoked = await keys('revoke', '--account', 'shop', '--key', id);
    expect(revoked).toEqual({ code: 0, stderr: '', stdout: `${id} is revoked.\n` });
    expect((await keys('list', '--account', 'shop')).stdout).toContain('revoked 20');
    expect((await keys('revoke', '--account', 'shop', '--key', id)).stdout).toBe(
      `${id} was revoked already.\n`,
    );
    const revokedAt = performance.now();
    for (;;) {
      const sentAt = performance.now();
      if ((await status(key)) === 401) break;
      // A request may take long to arrive: it counts when it was sent.
      expect(sentAt - revokedAt).toBeLessThan(1_000);
    }
  });

  it('create --live asks for PUBLIC_URL where it is not set, and so does the next start', async () => {
    const PUBLIC_URL = 'https://pay.example.com';
    const live = ['create', '--account', 'public', '--live'];
    const advice = 'PUBLIC_URL is not set';
    expect((await keys('create', '--account', 'public')).stdout).not.toContain(advice);
    expect((await keys(...live)).stdout).toContain(advice);
    const options = { args: live, env: { DATABASE_URL: database.url, PUBLIC_URL } };
    const withUrl = Program.start('commands/keys', options);
    await withUrl.ended;
    expect(withUrl.stdout).toMatch(/^sk_live_/);
    expect(withUrl.stdout).not.toContain(advice);

    for (const [url, sentences] of [
      ['', 1],
      [PUBLIC_URL, 0],
    ] as const) {
      const env = { LOG_LEVEL: 'warn', PUBLIC_URL: url };
      const next = await startServer({ databaseUrl: database.url, env });
      await next.stop();
      expect(next.program.stderr.split(advice)).toHaveLength(1 + sentences);
    }
  });

  it('create --live makes a live key', async () => {
    expect((await keys('create', '--account', 'shop', '--live')).stdout).toMatch(
      /^sk_live_[0-9A-Za-z]{43}\n/,
    );
  });

  it.each<[args: string[], sentence: string]>([
    [[], 'Say what to do.'],
    [['make', '--account', 'shop'], 'There is no "make".'],
    [['create'], '--account NAME is missing.'],
    [['create', 'shop'], '"shop" is one word too many.'],
    [['list', '--account', 'shop', '--live'], '--live goes with create only.'],
    [['create', '--account', 'shop', '--key', 'x'], '--key goes with revoke only.'],
    [['revoke', '--account', 'shop'], '--key ID is missing; list shows the ids.'],
    [['create', '--acount', 'shop'], "Unknown option '--acount'"],
    [['create', '--account'], "Option '--account <value>' argument missing"],
  ])('%j is refused with a sentence and the usage', async (args, sentence) => {
    const { code, stdout, stderr } = await keys(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.startsWith(sentence)).toBe(true);
    expect(stderr).toContain('npm run keys -- create --account NAME [--live]');
  });

  it.each<[args: string[], sentence: string]>([
    [
      ['create', '--account', 'My Shop'],
      '"My Shop" cannot name an account: use 1 to 64 lower-case letters, digits, - and _.\n',
    ],
    [
      ['list', '--account', 'nobody'],
      'There is no account "nobody"; `create` makes it with its first key.\n',
    ],
    [
      ['revoke', '--account', 'shop', '--key', 'key_x'],
      'Account "shop" has no key key_x; `list` shows those it has.\n',
    ],
  ])('%j is refused with one sentence', async (args, sentence) => {
    expect(await keys(...args)).toEqual({ code: 1, stdout: '', stderr: sentence });
  });
});
