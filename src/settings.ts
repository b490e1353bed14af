/**
 * Environment → typed settings: the one place that reads the environment. Every setting with its
 * default, unit and bound stands here, once; `.env.example` repeats them and a test compares both.
 */
import { existsSync } from 'node:fs';
import { Module, type DynamicModule } from '@nestjs/common';
import { cleanEnv, makeValidator } from 'envalid';

/**
 * Thrown by `loadSettings`. The message has one sentence, on a line of its own, per wrong setting.
 */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

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

const text = makeValidator<string>((input) => input);

const specs = {
  DATABASE_URL: postgresUrl({ default: '' }),
  DATA_DIR: text({ default: './.data' }),
  HOST: text({ default: '127.0.0.1' }),
  PORT: integer({ default: 3000, min: 0, max: 65_535 }),
  DATABASE_POOL_SIZE: integer({ default: 8, min: 1, max: 100 }),
  DATABASE_CONNECT_TIMEOUT_MS: integer({ default: 5_000, min: 100, max: 60_000 }),
  IDEMPOTENCY_KEY_REQUIRED: oneOf(['money', 'all', 'none'], 'money'),
  IDEMPOTENCY_TTL_SECONDS: integer({ default: 86_400, min: 60, max: 2_592_000 }),
  IDEMPOTENCY_REMOTE_DEADLINE_MS: integer({ default: 10_000, min: 100, max: 120_000 }),
  IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: integer({ default: 10_000, min: 100, max: 300_000 }),
  IDEMPOTENCY_MAX_WAIT_SECONDS: integer({ default: 30, min: 0, max: 60 }),
  IDEMPOTENCY_MAX_WAITERS: integer({ default: 1_000, min: 0, max: 100_000 }),
  IDEMPOTENCY_REUSED_STATUS: reusedStatus({ default: 'auto' }),
  PURGE_INTERVAL_SECONDS: integer({ default: 60, min: 1, max: 86_400 }),
  BODY_LIMIT_BYTES: integer({ default: 1_048_576, min: 1_024, max: 10_485_760 }),
  SANDBOX_LATENCY_MS: integer({ default: 0, min: 0, max: 60_000 }),
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
  /** Status of a reused key; `auto` is 400 to clients that send Stripe-Version, 409 to others. */
  declare readonly IDEMPOTENCY_REUSED_STATUS: 'auto' | 400 | 409 | 422;
  /** Pause between two runs of the purge job (R19), in seconds. */
  declare readonly PURGE_INTERVAL_SECONDS: number;
  /** Largest request body, in bytes. */
  declare readonly BODY_LIMIT_BYTES: number;
  /** How long the sandbox acquirer takes for each call, in milliseconds. */
  declare readonly SANDBOX_LATENCY_MS: number;
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
        // A database URL holds a password, which must not end in a log.
        const found = name === 'DATABASE_URL' ? '' : `, but is "${(env ?? process.env)[name]}"`;
        return `${name} ${error?.message}${found}.`;
      });
      if (sentences.length > 0) throw new SettingsError(sentences.join('\n'));
    },
  });
  return new Settings(
    Object.fromEntries(settingNames.map((n) => [n, values[n as keyof Values]])) as Values,
  );
}

/** Makes `Settings` injectable everywhere. */
@Module({})
export class SettingsModule {
  static forRoot(settings: Settings): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      providers: [{ provide: Settings, useValue: settings }],
      exports: [Settings],
    };
  }
}
