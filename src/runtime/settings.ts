/**
 * Environment → typed settings: the one place that reads the environment. Every setting stands
 * here once, with its default, unit and bounds. A test compares `.env.example` with this list.
 */
import { existsSync } from 'node:fs';
import { Module, type DynamicModule } from '@nestjs/common';
import { cleanEnv, makeValidator } from 'envalid';
import { OperatorError } from './operator-error';
import { PublicUrl } from './public-url';

/**
 * Thrown by `loadSettings`. The message has one sentence, on a line of its own, per wrong setting.
 */
export class SettingsError extends OperatorError {}

interface IntegerSpec {
  default: number;
  min: number;
  max: number;
}

/** A whole number within bounds, both included. */
function wholeNumber({ default: preset, min, max }: IntegerSpec) {
  const parse = makeValidator<number>((input) => {
    const value = /^\d{1,15}$/.test(input) ? Number(input) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new Error(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  });
  return parse({ default: preset });
}

function choice<const T extends string>(choices: readonly T[], preset: NoInfer<T>) {
  const parse = makeValidator<T>((input) => {
    const found = choices.find((one) => one === input);
    if (found === undefined) throw new Error(`must be one of ${choices.join(', ')}`);
    return found;
  });
  return parse({ default: preset });
}

/** A status, or `auto` for the one that suits the client. */
const reusedStatus = makeValidator<'auto' | 400 | 409 | 422>((input) => {
  if (input === 'auto') return input;
  const found = ([400, 409, 422] as const).find((status) => String(status) === input);
  if (found === undefined) throw new Error('must be one of auto, 400, 409, 422');
  return found;
});

/** @param wanted completes "must be a URL like" */
const urlOf = (protocols: readonly string[], wanted: string) =>
  makeValidator<string>((input) => {
    const protocol = URL.canParse(input) ? new URL(input).protocol : '';
    if (!protocols.includes(protocol)) throw new Error(`must be a URL like ${wanted}`);
    return input;
  });

const postgresUrl = urlOf(
  ['postgres:', 'postgresql:'],
  'postgres://user:password@host:5432/database',
);
const httpUrl = urlOf(['http:', 'https:'], 'http://127.0.0.1:3100');
const redisUrl = urlOf(
  ['redis:', 'rediss:'],
  'redis://user:password@host:6379/0, or rediss:// for TLS',
);

/** The beginning of links, kept without the slash at its end. */
const linkBase = makeValidator<string>((input) => {
  const url =
    /^https?:\/\/[^?#]+$/i.test(input) && URL.canParse(input) ? new URL(input) : undefined;
  if (url === undefined || url.username !== '' || url.password !== '') {
    throw new Error(
      'must be an absolute URL like https://pay.example.com or https://example.com/pay, without user, ' +
        'password, query and fragment',
    );
  }
  return url.origin + url.pathname.replace(/\/+$/, '');
});

/** A share of all, 0 to 1. */
const rate = makeValidator<number>((input) => {
  const value = /^\d(\.\d{1,9})?$/.test(input) ? Number(input) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw new Error('must be a number from 0 to 1');
  return value;
});

const anyText = makeValidator<string>((input) => input);

const specs = {
  /**
   * PostgreSQL 15 or newer. Empty until the embedded server is started, which then puts its URL
   * here.
   */
  DATABASE_URL: postgresUrl({ default: '' }),
  /**
   * Directory of the embedded PostgreSQL and of the sandbox key; unused where DATABASE_URL is set.
   */
  DATA_DIR: anyText({ default: './.data' }),
  /** Address to listen on. */
  HOST: anyText({ default: '127.0.0.1' }),
  /** TCP port to listen on; 0 takes a free one. */
  PORT: wholeNumber({ default: 3000, min: 0, max: 65_535 }),
  /**
   * The URL under which clients reach this server; links in responses begin with it. Empty:
   * `http://HOST:PORT`.
   */
  PUBLIC_URL: linkBase({ default: '' }),
  /** Connections that requests share in one process. */
  DATABASE_POOL_SIZE: wholeNumber({ default: 8, min: 1, max: 100 }),
  /** Longest wait for a connection, a free one of the pool included, in milliseconds. */
  DATABASE_CONNECT_TIMEOUT_MS: wholeNumber({ default: 5_000, min: 100, max: 60_000 }),
  /** Where a request must carry a key (R2): where money moves, everywhere, or nowhere. */
  IDEMPOTENCY_KEY_REQUIRED: choice(['money', 'all', 'none'], 'money'),
  /** Life of a finished key (R18), in seconds. */
  IDEMPOTENCY_TTL_SECONDS: wholeNumber({ default: 86_400, min: 60, max: 2_592_000 }),
  /** Longest call to the acquirer (R11), in milliseconds; the lease is 5 s longer. */
  IDEMPOTENCY_REMOTE_DEADLINE_MS: wholeNumber({ default: 10_000, min: 100, max: 120_000 }),
  /**
   * After this long without a statement PostgreSQL ends a transaction and frees its key (R9), in
   * ms.
   */
  IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: wholeNumber({ default: 10_000, min: 100, max: 300_000 }),
  /** Upper bound of `Prefer: wait=N` (R8), in seconds. */
  IDEMPOTENCY_MAX_WAIT_SECONDS: wholeNumber({ default: 30, min: 0, max: 60 }),
  /** Requests of one process that may wait at once for the response of another request (R8). */
  IDEMPOTENCY_MAX_WAITERS: wholeNumber({ default: 1_000, min: 0, max: 100_000 }),
  /** Most bytes of stored responses that one process keeps in memory for replays; 0: none. */
  IDEMPOTENCY_REPLAY_MEMORY_BYTES: wholeNumber({
    default: 67_108_864,
    min: 0,
    max: 17_179_869_184,
  }),
  /**
   * A Redis that keeps stored responses for all processes: one of its own, bounded, which evicts.
   * The jobs' Redis must not evict, so it is not that one. Empty: none.
   */
  IDEMPOTENCY_REPLAY_REDIS_URL: redisUrl({ default: '' }),
  /** Status of a reused key; `auto` is 400 to clients that send Stripe-Version, 409 to others. */
  IDEMPOTENCY_REUSED_STATUS: reusedStatus({ default: 'auto' }),
  /**
   * How often this process looks for abandoned requests (R19), in milliseconds; 0: never.
   */
  IDEMPOTENCY_RECOVERY_INTERVAL_MS: wholeNumber({ default: 2_000, min: 0, max: 3_600_000 }),
  /** Age at which recovery leaves a request that keeps failing to a person (R19), in seconds. */
  IDEMPOTENCY_PARK_AFTER_SECONDS: wholeNumber({ default: 86_400, min: 1, max: 2_592_000 }),
  /** Whether the HTTP process runs the jobs too; the worker always does. */
  JOBS: choice(['on', 'off'], 'on'),
  /** Where BullMQ keeps the jobs. Empty: in PostgreSQL. */
  REDIS_URL: redisUrl({ default: '' }),
  /**
   * The same database by a direct way, for the jobs, where DATABASE_URL leads through a pooler that
   * shares sessions: they LISTEN. Empty: DATABASE_URL.
   */
  JOBS_DATABASE_URL: postgresUrl({ default: '' }),
  /** From the start of a purge (R19) to the start of the next, in seconds. */
  PURGE_INTERVAL_SECONDS: wholeNumber({ default: 60, min: 1, max: 86_400 }),
  /** From one report of the jobs to the next, in seconds. */
  JOBS_REPORT_INTERVAL_SECONDS: wholeNumber({ default: 15, min: 1, max: 3_600 }),
  /** Health turns red when a report of the jobs is later than this, in seconds. */
  HEALTH_MAX_REPORT_LAG_SECONDS: wholeNumber({ default: 120, min: 1, max: 86_400 }),
  /** Health turns red when an abandoned request has waited longer than this, in seconds. */
  HEALTH_MAX_RECOVERY_LAG_SECONDS: wholeNumber({ default: 300, min: 1, max: 86_400 }),
  /** Health turns red when the purge of an expired key is later than this, in seconds. */
  HEALTH_MAX_PURGE_LAG_SECONDS: wholeNumber({ default: 900, min: 1, max: 2_592_000 }),
  /** Largest request body, in bytes. */
  BODY_LIMIT_BYTES: wholeNumber({ default: 1_048_576, min: 1_024, max: 10_485_760 }),
  /** Whether /openapi.json and /docs are served. */
  DOCS: choice(['on', 'off'], 'on'),
  /** How long the sandbox acquirer inside the server takes for each call, in milliseconds. */
  SANDBOX_LATENCY_MS: wholeNumber({ default: 0, min: 0, max: 60_000 }),
  /** The sandbox acquirer in a process of its own; empty for the one inside the server. */
  ACQUIRER_URL: httpUrl({ default: '' }),
  /** Address on which the acquirer's own process listens. */
  ACQUIRER_HOST: anyText({ default: '127.0.0.1' }),
  /** TCP port of the acquirer's own process; 0 takes a free one. */
  ACQUIRER_PORT: wholeNumber({ default: 3_100, min: 0, max: 65_535 }),
  /** File of the acquirer's ledger. */
  ACQUIRER_LEDGER: anyText({ default: './.data/acquirer.ledger' }),
  /** Shortest time that the acquirer takes for each call, in milliseconds. */
  ACQUIRER_LATENCY_MS: wholeNumber({ default: 0, min: 0, max: 60_000 }),
  /** Longest time for each call, in milliseconds; unused where it is below ACQUIRER_LATENCY_MS. */
  ACQUIRER_LATENCY_MAX_MS: wholeNumber({ default: 0, min: 0, max: 60_000 }),
  /** Share of the acquirer's calls, 0 to 1, that are executed and get no response. */
  ACQUIRER_LOSE_REPLY_RATE: rate({ default: 0 }),
  /** Share of the acquirer's calls, 0 to 1, that end with a 500 before they are executed. */
  ACQUIRER_ERROR_BEFORE_RATE: rate({ default: 0 }),
  /** Share of the acquirer's calls, 0 to 1, that end with a 500 after they were executed. */
  ACQUIRER_ERROR_AFTER_RATE: rate({ default: 0 }),
  /** Seed of the acquirer's random numbers: the same seed and order of calls give the same faults. */
  ACQUIRER_SEED: wholeNumber({ default: 1, min: 0, max: 4_294_967_295 }),
  /** How long requests in flight may take to finish once the process was asked to stop, in ms. */
  DRAIN_TIMEOUT_MS: wholeNumber({ default: 10_000, min: 0, max: 300_000 }),
  /** Least important log lines to write, on standard error. */
  LOG_LEVEL: choice(['silent', 'error', 'warn', 'info', 'debug'], 'info'),
};

type Values = {
  readonly [Name in keyof typeof specs]: (typeof specs)[Name] extends { default?: infer T }
    ? NonNullable<T>
    : never;
};

/** A class whose objects have the settings as their properties. */
const SettingValues = class {
  constructor(values: Values) {
    Object.assign(this, values);
  }
} as new (values: Values) => Values;

/** The settings of one process; also the token under which every module injects them. */
export class Settings extends SettingValues {
  /**
   * The same settings with some replaced, unchecked: for what is known only once something runs.
   */
  with(changes: Partial<Values>): Settings {
    return new Settings(Object.assign({}, this, changes));
  }
}

/** The names of all settings, in the order of `.env.example`. */
export const settingNames: readonly string[] = Object.keys(specs);

/**
 * Reads and checks the settings. Without an argument: the process's environment, and under it a
 * file `.env` in the working directory. A variable set to nothing counts as not set.
 * @throws SettingsError naming every wrong setting, its bounds, and what was found
 */
export function loadSettings(env?: NodeJS.ProcessEnv): Settings {
  if (env === undefined && existsSync('.env')) process.loadEnvFile('.env');
  const given = Object.entries(env ?? process.env).filter(([, value]) => value !== '');
  const values = cleanEnv(Object.fromEntries(given), specs, {
    reporter: ({ errors }) => {
      const sentences = Object.entries(errors).map(([name, error]) => {
        // A URL may hold a password, which must not end in a log.
        const found = name.endsWith('_URL') ? '' : `, but is "${(env ?? process.env)[name]}"`;
        return `${name} ${error?.message}${found}.`;
      });
      if (sentences.length > 0) throw new SettingsError(sentences.join('\n'));
    },
  });
  return new Settings(
    Object.fromEntries(settingNames.map((n) => [n, values[n as keyof Values]])) as Values,
  );
}

/** Makes `Settings` and `PublicUrl` injectable everywhere. */
@Module({})
export class SettingsModule {
  static forRoot(settings: Settings, publicUrl = new PublicUrl(settings)): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      providers: [
        { provide: Settings, useValue: settings },
        { provide: PublicUrl, useValue: publicUrl },
      ],
      exports: [Settings, PublicUrl],
    };
  }
}
