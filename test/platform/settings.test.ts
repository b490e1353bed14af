/** Settings have the bounds and defaults that .env.example and the documents name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { loadSettings, settingNames, SettingsError } from '../../src/runtime/settings';
import { envExample } from './env-example';

const ROOT = join(__dirname, '..', '..');
const text = (name: string) => readFileSync(join(ROOT, name), 'utf8');

function refusal(env: NodeJS.ProcessEnv): string {
  try {
    loadSettings(env);
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  return '';
}

describe('settings', () => {
  it('have defaults that need nothing configured', () => {
    expect(loadSettings({})).toMatchObject({
      DATABASE_URL: '',
      DATA_DIR: './.data',
      HOST: '127.0.0.1',
      PORT: 3000,
      IDEMPOTENCY_KEY_REQUIRED: 'money',
      IDEMPOTENCY_TTL_SECONDS: 86_400,
      IDEMPOTENCY_REUSED_STATUS: 'auto',
      LOG_LEVEL: 'info',
    });
  });

  it('take a variable set to nothing for one not set', () => {
    expect(loadSettings({ PORT: '', DATABASE_URL: '' }).PORT).toBe(3000);
  });

  it('a reused key has a status as a number, or auto', () => {
    expect(loadSettings({ IDEMPOTENCY_REUSED_STATUS: '422' }).IDEMPOTENCY_REUSED_STATUS).toBe(422);
    expect(refusal({ IDEMPOTENCY_REUSED_STATUS: '418' })).toBe(
      'IDEMPOTENCY_REUSED_STATUS must be one of auto, 400, 409, 422, but is "418".',
    );
  });

  it.each(['-1', '65536', '1.5', '1e3', '0x10', ' 80', 'http', '9007199254740993'])(
    'PORT=%j is refused with its bounds',
    (PORT) => {
      expect(refusal({ PORT })).toBe(
        `PORT must be a whole number from 0 to 65535, but is "${PORT}".`,
      );
    },
  );

  it('every wrong one gets a sentence of its own', () => {
    const lines = refusal({ PORT: 'x', LOG_LEVEL: 'x', DRAIN_TIMEOUT_MS: 'x' }).split('\n');
    expect(lines.map((line) => line.split(' ', 1)[0])).toEqual([
      'PORT',
      'DRAIN_TIMEOUT_MS',
      'LOG_LEVEL',
    ]);
  });

  it('a wrong DATABASE_URL is not repeated, since it may hold a password', () => {
    expect(refusal({ DATABASE_URL: 'mysql://root:secret@db' })).not.toContain('secret');
  });
});

describe('.env.example', () => {
  it('is what `npm run settings` makes of the settings', () => {
    expect(text('.env.example')).toBe(envExample());
  });

  /** What stands above each default, by the name of the setting. */
  const explanations = Object.fromEntries(
    text('.env.example')
      .split('\n\n')
      .flatMap((paragraph) => {
        const [, explanation, name] = /^((?:# .*\n)+)#([A-Z_]+)=/.exec(paragraph) ?? [];
        return name === undefined ? [] : [[name, explanation?.replaceAll(/\n# /g, ' ')]];
      }),
  ) as Record<string, string | undefined>;

  it('has every setting, and no other', () => {
    expect(Object.keys(explanations)).toEqual(settingNames);
  });

  it.each(settingNames)('%s: its bounds and its unit are there', (name) => {
    const explanation = explanations[name] ?? '';
    const [, min, max] = / from (\d+) to (\d+)/.exec(refusal({ [name]: '-1' })) ?? [];
    if (min !== undefined && max !== undefined) expect(explanation).toContain(`${min} to ${max}`);
    if (name.endsWith('_MS')) expect(explanation).toContain('milliseconds');
    if (name.endsWith('_SECONDS')) expect(explanation).toContain('seconds');
    if (name.endsWith('_BYTES')) expect(explanation).toContain('bytes');
    const [, choices = ''] = /one of ([^,].*), but/.exec(refusal({ [name]: '-1' })) ?? [];
    for (const choice of choices.split(', ')) expect(explanation).toContain(choice);
  });
});

describe('docker-compose.yml', () => {
  interface Service {
    image?: string;
    build?: string;
    command?: string[];
    environment?: Record<string, string>;
  }
  const { services } = parse(text('docker-compose.yml')) as { services: Record<string, Service> };

  it('has PostgreSQL 17, Redis 7, the API and a worker', () => {
    expect(services.postgres?.image).toBe('postgres:17');
    expect(services.redis?.image).toBe('redis:7');
    expect(services.api).toMatchObject({ build: '.', command: ['node', 'dist/main.js'] });
    expect(services.worker).toMatchObject({ build: '.', command: ['node', 'dist/worker.js'] });
  });

  it.each(['api', 'worker'])(
    '%s: every variable is a setting, and its value is accepted',
    (name) => {
      const environment = services[name]?.environment ?? {};
      expect(settingNames).toEqual(expect.arrayContaining(Object.keys(environment)));
      expect(refusal(environment)).toBe('');
      const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } =
        services.postgres?.environment ?? {};
      expect(environment.DATABASE_URL).toBe(
        `postgres://${POSTGRES_USER}:${POSTGRES_PASSWORD}@postgres:5432/${POSTGRES_DB}`,
      );
    },
  );
});
