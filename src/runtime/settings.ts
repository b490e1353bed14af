/**
 * Environment → typed settings: the one place that reads the environment. Every setting stands
 * here once, with its default, unit and bounds. `npm run settings` makes `.env.example` of them.
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

/**
 * Every setting with its default and bounds, in the order of `.env.example`. That file is made of this
 * object: of its headings, comments, bounds and defaults.
 */
const specs = {
  // Database

  /** PostgreSQL 15 or newer. Empty: the embedded PostgreSQL is started on DATA_DIR. */
  DATABASE_URL: postgresUrl({ default: '' }),
  /**
   * Directory of the embedded PostgreSQL and of the sandbox key. Unused where DATABASE_URL is set.
   */
  DATA_DIR: anyText({ default: './.data' }),
  /** Connections that requests share in one process. */
  DATABASE_POOL_SIZE: wholeNumber({ default: 8, min: 1, max: 100 }),
  /** Longest wait for a connection, a free one of the pool included, in milliseconds. */
  DATABASE_CONNECT_TIMEOUT_MS: wholeNumber({ default: 5_000, min: 100, max: 60_000 }),

  // HTTP

  /** Address to listen on; 0.0.0.0 listens on all. */
  HOST: anyText({ default: '127.0.0.1' }),
  /** TCP port to listen on; 0 takes a free one. */
  PORT: wholeNumber({ default: 3000, min: 0, max: 65_535 }),
  /**
   * The URL under which clients reach this server, with a path if need be. Links in responses
   * (`doc_url`) begin with it. Set it where clients are not on this machine. Empty:
   * `http://HOST:PORT`.
   */
  PUBLIC_URL: linkBase({ default: '' }),
  /** Largest request body, in bytes. */
  BODY_LIMIT_BYTES: wholeNumber({ default: 1_048_576, min: 1_024, max: 10_485_760 }),
  /** Whether the API is described at /openapi.json and /docs, to anybody. */
  DOCS: choice(['on', 'off'], 'on'),
  /**
   * How long requests in flight may take to finish once the process was asked to stop, in
   * milliseconds.
   */
  DRAIN_TIMEOUT_MS: wholeNumber({ default: 10_000, min: 0, max: 300_000 }),

  // Idempotency

  /** Where a request must carry an Idempotency-Key (R2): where money moves, everywhere, or nowhere. */
  IDEMPOTENCY_KEY_REQUIRED: choice(['money', 'all', 'none'], 'money'),
  /** Life of a finished key (R18), in seconds. */
  IDEMPOTENCY_TTL_SECONDS: wholeNumber({ default: 86_400, min: 60, max: 2_592_000 }),
  /** Longest call to the acquirer (R11), in milliseconds. The lease is 5 s longer. */
  IDEMPOTENCY_REMOTE_DEADLINE_MS: wholeNumber({ default: 10_000, min: 100, max: 120_000 }),
  /**
   * After this long without a statement PostgreSQL ends a transaction and frees its key (R9), in
   * milliseconds.
   */
  IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: wholeNumber({ default: 10_000, min: 100, max: 300_000 }),
  /** Upper bound of `Prefer: wait=N` (R8), in seconds. */
  IDEMPOTENCY_MAX_WAIT_SECONDS: wholeNumber({ default: 30, min: 0, max: 60 }),
  /** Requests of one process that may wait at once for the response of another request (R8). */
  IDEMPOTENCY_MAX_WAITERS: wholeNumber({ default: 1_000, min: 0, max: 100_000 }),
  /** Most stored responses that one process keeps in memory for replays, in bytes; 0: none. */
  IDEMPOTENCY_REPLAY_MEMORY_BYTES: wholeNumber({
    default: 67_108_864,
    min: 0,
    max: 17_179_869_184,
  }),
  /**
   * A Redis that keeps stored responses for all processes. One of its own, with a `maxmemory` and a
   * policy that evicts (`allkeys-lru`): the jobs' Redis must not evict. Empty: none.
   */
  IDEMPOTENCY_REPLAY_REDIS_URL: redisUrl({ default: '' }),
  /**
   * Status of a key that is reused with another request; `auto` is 400 to clients that send
   * Stripe-Version, 409 to others.
   */
  IDEMPOTENCY_REUSED_STATUS: reusedStatus({ default: 'auto' }),
  /** How often a process looks for abandoned requests (R19), in milliseconds; 0: never. */
  IDEMPOTENCY_RECOVERY_INTERVAL_MS: wholeNumber({ default: 2_000, min: 0, max: 3_600_000 }),
  /** Age at which recovery leaves a request that keeps failing to a person (R19), in seconds. */
  IDEMPOTENCY_PARK_AFTER_SECONDS: wholeNumber({ default: 86_400, min: 1, max: 2_592_000 }),

  // Jobs

  /** Whether the HTTP process runs the jobs too. The worker always runs them. */
  JOBS: choice(['on', 'off'], 'on'),
  /** Where BullMQ keeps the jobs. Empty: in PostgreSQL, in the schema `bullmq`. */
  REDIS_URL: redisUrl({ default: '' }),
  /**
   * The same database as DATABASE_URL by a direct way, for the jobs, where DATABASE_URL leads through
   * a pooler that shares sessions (pgbouncer): they LISTEN. Empty: DATABASE_URL.
   */
  JOBS_DATABASE_URL: postgresUrl({ default: '' }),
  /** From the start of a purge of expired keys (R19) to the start of the next, in seconds. */
  PURGE_INTERVAL_SECONDS: wholeNumber({ default: 60, min: 1, max: 86_400 }),
  /** From one report of the jobs to the next, in seconds. */
  JOBS_REPORT_INTERVAL_SECONDS: wholeNumber({ default: 15, min: 1, max: 3_600 }),

  // Health

  /**
   * GET /health turns red when the jobs have not reported for JOBS_REPORT_INTERVAL_SECONDS and this,
   * in seconds. It counts from the start of the process that is asked, at most.
   */
  HEALTH_MAX_REPORT_LAG_SECONDS: wholeNumber({ default: 120, min: 1, max: 86_400 }),
  /**
   * GET /health turns red when an abandoned request has waited for recovery longer than this, in
   * seconds.
   */
  HEALTH_MAX_RECOVERY_LAG_SECONDS: wholeNumber({ default: 300, min: 1, max: 86_400 }),
  /**
   * GET /health turns red when an expired key has waited longer for its purge than
   * PURGE_INTERVAL_SECONDS and this, in seconds.
   */
  HEALTH_MAX_PURGE_LAG_SECONDS: wholeNumber({ default: 900, min: 1, max: 2_592_000 }),

  // Sandbox acquirer

  /** How long the sandbox acquirer inside the server takes for each call, in milliseconds. */
  SANDBOX_LATENCY_MS: wholeNumber({ default: 0, min: 0, max: 60_000 }),
  /**
   * Where the sandbox acquirer runs as a process of its own (`npm run acquirer`). Payments know only
   * the acquirer they began with, so change this while none is unfinished. Empty: it runs inside the
   * server.
   */
  ACQUIRER_URL: httpUrl({ default: '' }),

  // Sandbox acquirer as a process of its own: read by that process alone

  /** Address to listen on. It asks nobody who they are: leave it where only the server reaches it. */
  ACQUIRER_HOST: anyText({ default: '127.0.0.1' }),
  /** Its TCP port; 0 takes a free one. */
  ACQUIRER_PORT: wholeNumber({ default: 3_100, min: 0, max: 65_535 }),
  /** File of its ledger: one line of JSON for each operation, on disk before its response. */
  ACQUIRER_LEDGER: anyText({ default: './.data/acquirer.ledger' }),
  /** Shortest time for each call, in milliseconds: half before the work, half after. */
  ACQUIRER_LATENCY_MS: wholeNumber({ default: 0, min: 0, max: 60_000 }),
  /** Longest time for each call, in milliseconds. Unused where it is below ACQUIRER_LATENCY_MS. */
  ACQUIRER_LATENCY_MAX_MS: wholeNumber({ default: 0, min: 0, max: 60_000 }),
  /** Share of the calls that are executed and get no response. The three rates add up to 1 at most. */
  ACQUIRER_LOSE_REPLY_RATE: rate({ default: 0 }),
  /** Share of the calls that get a 500 and are not executed. */
  ACQUIRER_ERROR_BEFORE_RATE: rate({ default: 0 }),
  /** Share of the calls that are executed and get a 500. */
  ACQUIRER_ERROR_AFTER_RATE: rate({ default: 0 }),
  /** Seed of its random numbers: the same seed and order of calls give the same faults. */
  ACQUIRER_SEED: wholeNumber({ default: 1, min: 0, max: 4_294_967_295 }),

  // Log

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
