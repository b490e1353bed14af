/**
 * Environment → typed settings: the one place that reads the environment. Every setting with its
 * default, unit and bound stands here, once; `.env.example` repeats them and a test compares both.
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
function integer({ default: preset, min, max }: IntegerSpec) {
  const parse = makeValidator<number>((input) => {
    const value = /^\d{1,15}$/.test(input) ? Number(input) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new Error(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  });
  return parse({ default: preset });
}

function oneOf<const T extends string>(choices: readonly T[], preset: NoInfer<T>) {
  const parse = makeValidator<T>((input) => {
    const found = choices.find((choice) => choice === input);
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

const postgresUrl = makeValidator<string>((input) => {
  const protocol = URL.canParse(input) ? new URL(input).protocol : '';
  if (protocol !== 'postgres:' && protocol !== 'postgresql:') {
    throw new Error('must be a URL like postgres://user:password@host:5432/database');
  }
  return input;
});

const httpUrl = makeValidator<string>((input) => {
  const protocol = URL.canParse(input) ? new URL(input).protocol : '';
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new Error('must be a URL like http://127.0.0.1:3100');
  }
  return input;
});

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

const redisUrl = makeValidator<string>((input) => {
  const protocol = URL.canParse(input) ? new URL(input).protocol : '';
  if (protocol !== 'redis:' && protocol !== 'rediss:') {
    throw new Error('must be a URL like redis://user:password@host:6379/0, or rediss:// for TLS');
  }
  return input;
});

const text = makeValidator<string>((input) => input);

const specs = {
  DATABASE_URL: postgresUrl({ default: '' }),
  DATA_DIR: text({ default: './.data' }),
  HOST: text({ default: '127.0.0.1' }),
  PORT: integer({ default: 3000, min: 0, max: 65_535 }),
  PUBLIC_URL: linkBase({ default: '' }),
  DATABASE_POOL_SIZE: integer({ default: 8, min: 1, max: 100 }),
  DATABASE_CONNECT_TIMEOUT_MS: integer({ default: 5_000, min: 100, max: 60_000 }),
  IDEMPOTENCY_KEY_REQUIRED: oneOf(['money', 'all', 'none'], 'money'),
  IDEMPOTENCY_TTL_SECONDS: integer({ default: 86_400, min: 60, max: 2_592_000 }),
  IDEMPOTENCY_REMOTE_DEADLINE_MS: integer({ default: 10_000, min: 100, max: 120_000 }),
  IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: integer({ default: 10_000, min: 100, max: 300_000 }),
  IDEMPOTENCY_MAX_WAIT_SECONDS: integer({ default: 30, min: 0, max: 60 }),
  IDEMPOTENCY_MAX_WAITERS: integer({ default: 1_000, min: 0, max: 100_000 }),
  IDEMPOTENCY_REPLAY_MEMORY_BYTES: integer({ default: 67_108_864, min: 0, max: 17_179_869_184 }),
  IDEMPOTENCY_REPLAY_REDIS_URL: redisUrl({ default: '' }),
  IDEMPOTENCY_REUSED_STATUS: reusedStatus({ default: 'auto' }),
  IDEMPOTENCY_RECOVERY_INTERVAL_MS: integer({ default: 2_000, min: 0, max: 3_600_000 }),
  IDEMPOTENCY_PARK_AFTER_SECONDS: integer({ default: 86_400, min: 1, max: 2_592_000 }),
  JOBS: oneOf(['on', 'off'], 'on'),
  REDIS_URL: redisUrl({ default: '' }),
  JOBS_DATABASE_URL: postgresUrl({ default: '' }),
  PURGE_INTERVAL_SECONDS: integer({ default: 60, min: 1, max: 86_400 }),
  JOBS_REPORT_INTERVAL_SECONDS: integer({ default: 15, min: 1, max: 3_600 }),
  HEALTH_MAX_REPORT_LAG_SECONDS: integer({ default: 120, min: 1, max: 86_400 }),
  HEALTH_MAX_RECOVERY_LAG_SECONDS: integer({ default: 300, min: 1, max: 86_400 }),
  HEALTH_MAX_PURGE_LAG_SECONDS: integer({ default: 900, min: 1, max: 2_592_000 }),
  BODY_LIMIT_BYTES: integer({ default: 1_048_576, min: 1_024, max: 10_485_760 }),
  DOCS: oneOf(['on', 'off'], 'on'),
  SANDBOX_LATENCY_MS: integer({ default: 0, min: 0, max: 60_000 }),
  ACQUIRER_URL: httpUrl({ default: '' }),
  ACQUIRER_HOST: text({ default: '127.0.0.1' }),
  ACQUIRER_PORT: integer({ default: 3_100, min: 0, max: 65_535 }),
  ACQUIRER_LEDGER: text({ default: './.data/acquirer.ledger' }),
  ACQUIRER_LATENCY_MS: integer({ default: 0, min: 0, max: 60_000 }),
  ACQUIRER_LATENCY_MAX_MS: integer({ default: 0, min: 0, max: 60_000 }),
  ACQUIRER_LOSE_REPLY_RATE: rate({ default: 0 }),
  ACQUIRER_ERROR_BEFORE_RATE: rate({ default: 0 }),
  ACQUIRER_ERROR_AFTER_RATE: rate({ default: 0 }),
  ACQUIRER_SEED: integer({ default: 1, min: 0, max: 4_294_967_295 }),
  DRAIN_TIMEOUT_MS: integer({ default: 10_000, min: 0, max: 300_000 }),
  LOG_LEVEL: oneOf(['silent', 'error', 'warn', 'info', 'debug'], 'info'),
};

type Values = {
  readonly [Name in keyof typeof specs]: (typeof specs)[Name] extends { default?: infer T }
    ? NonNullable<T>
    : never;
};

/** The settings of one process; also the token under which every module injects them. */
export class Settings implements Values {
  /**
   * PostgreSQL 15 or newer. Empty until the embedded server is started, which then puts its URL
   * here.
   */
  declare readonly DATABASE_URL: string;
  /**
   * Directory of the embedded PostgreSQL and of the sandbox key; unused where DATABASE_URL is set.
   */
  declare readonly DATA_DIR: string;
  /** Address to listen on. */
  declare readonly HOST: string;
  /** TCP port to listen on; 0 takes a free one. */
  declare readonly PORT: number;
  /**
   * The URL under which clients reach this server; links in responses begin with it. Empty:
   * `http://HOST:PORT`.
   */
  declare readonly PUBLIC_URL: string;
  /** Connections that requests share in one process. */
  declare readonly DATABASE_POOL_SIZE: number;
  /** Longest wait for a connection, a free one of the pool included, in milliseconds. */
  declare readonly DATABASE_CONNECT_TIMEOUT_MS: number;
  /** Where a request must carry a key (R2): where money moves, everywhere, or nowhere. */
  declare readonly IDEMPOTENCY_KEY_REQUIRED: 'money' | 'all' | 'none';
  /** Life of a finished key (R18), in seconds. */
  declare readonly IDEMPOTENCY_TTL_SECONDS: number;
  /** Longest call to the acquirer (R11), in milliseconds; the lease is 5 s longer. */
  declare readonly IDEMPOTENCY_REMOTE_DEADLINE_MS: number;
  /**
   * After this long without a statement PostgreSQL ends a transaction and frees its key (R9), in
   * ms.
   */
  declare readonly IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: number;
  /** Upper bound of `Prefer: wait=N` (R8), in seconds. */
  declare readonly IDEMPOTENCY_MAX_WAIT_SECONDS: number;
  /** Requests that may wait at once for others' answers in one process (R8). */
  declare readonly IDEMPOTENCY_MAX_WAITERS: number;
  /** Most bytes of finished answers that one process keeps for replays; 0: none. */
  declare readonly IDEMPOTENCY_REPLAY_MEMORY_BYTES: number;
  /**
   * A Redis that keeps finished answers for all processes: one of its own, bounded, which evicts.
   * The jobs' Redis must not evict, so it is not that one. Empty: none.
   */
  declare readonly IDEMPOTENCY_REPLAY_REDIS_URL: string;
  /** Status of a reused key; `auto` is 400 to clients that send Stripe-Version, 409 to others. */
  declare readonly IDEMPOTENCY_REUSED_STATUS: 'auto' | 400 | 409 | 422;
  /**
   * How often this process looks for abandoned requests (R19), in milliseconds; 0: never.
   */
  declare readonly IDEMPOTENCY_RECOVERY_INTERVAL_MS: number;
  /** Age at which recovery leaves a request that keeps failing to a person (R19), in seconds. */
  declare readonly IDEMPOTENCY_PARK_AFTER_SECONDS: number;
  /** Whether the HTTP process runs the jobs too; the worker always does. */
  declare readonly JOBS: 'on' | 'off';
  /** Where BullMQ keeps the jobs. Empty: in PostgreSQL. */
  declare readonly REDIS_URL: string;
  /**
   * The same database by a direct way, for the jobs, where DATABASE_URL leads through a pooler that
   * shares sessions: they LISTEN. Empty: DATABASE_URL.
   */
  declare readonly JOBS_DATABASE_URL: string;
  /** From the start of a purge (R19) to the start of the next, in seconds. */
  declare readonly PURGE_INTERVAL_SECONDS: number;
  /** From one report of the jobs to the next, in seconds. */
  declare readonly JOBS_REPORT_INTERVAL_SECONDS: number;
  /** Health turns red when a report of the jobs is later than this, in seconds. */
  declare readonly HEALTH_MAX_REPORT_LAG_SECONDS: number;
  /** Health turns red when an abandoned request has waited longer than this, in seconds. */
  declare readonly HEALTH_MAX_RECOVERY_LAG_SECONDS: number;
  /** Health turns red when the purge of an expired key is later than this, in seconds. */
  declare readonly HEALTH_MAX_PURGE_LAG_SECONDS: number;
  /** Largest request body, in bytes. */
  declare readonly BODY_LIMIT_BYTES: number;
  /** Whether /openapi.json and /docs are served. */
  declare readonly DOCS: 'on' | 'off';
  /** How long the sandbox acquirer inside the server takes for each call, in milliseconds. */
  declare readonly SANDBOX_LATENCY_MS: number;
  /** The sandbox acquirer in a process of its own; empty for the one inside the server. */
  declare readonly ACQUIRER_URL: string;
  /** Where the acquirer's own process listens; 0 takes a free port. */
  declare readonly ACQUIRER_HOST: string;
  declare readonly ACQUIRER_PORT: number;
  /** File of its ledger. */
  declare readonly ACQUIRER_LEDGER: string;
  /** Each of its calls takes this long at least, in milliseconds, and at most the other, if larger. */
  declare readonly ACQUIRER_LATENCY_MS: number;
  declare readonly ACQUIRER_LATENCY_MAX_MS: number;
  /** Share of its calls, 0 to 1, that are done and then never answered. */
  declare readonly ACQUIRER_LOSE_REPLY_RATE: number;
  /** Share of its calls, 0 to 1, that end with a 500 before the work; after it. */
  declare readonly ACQUIRER_ERROR_BEFORE_RATE: number;
  declare readonly ACQUIRER_ERROR_AFTER_RATE: number;
  /** Start of its random numbers: the same seed and order of calls give the same faults. */
  declare readonly ACQUIRER_SEED: number;
  /** How long requests in flight may take to finish once the process was asked to stop, in ms. */
  declare readonly DRAIN_TIMEOUT_MS: number;
  /** Least important log lines to write, on standard error. */
  declare readonly LOG_LEVEL: 'silent' | 'error' | 'warn' | 'info' | 'debug';

  constructor(values: Values) {
    Object.assign(this, values);
  }

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
