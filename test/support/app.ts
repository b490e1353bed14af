/** The real application inside the test's own process, on a free port and a database of its own. */
import 'reflect-metadata';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import Stripe from 'stripe';
import { AccountsService } from '../../src/accounts';
import { createApplication } from '../../src/application/application';
import { listen } from '../../src/runtime/http-server';
import { loadSettings } from '../../src/runtime/settings';
import { freshDatabase } from './database';
import { PATIENT } from './patience';

export interface StartAppOptions {
  /** Settings that differ from their defaults. */
  readonly env?: Readonly<Record<string, string>>;
  /** Another application's database, for two on one. Default: a fresh one, dropped on close. */
  readonly databaseUrl?: string;
}

export interface RunningApp {
  readonly url: string;
  readonly port: number;
  readonly databaseUrl: string;
  readonly app: NestFastifyApplication;
  /** A sandbox key of the account `shop`. */
  readonly apiKey: string;
  /** A new key of any account, which is made if it is new. */
  createKey(account: string, livemode?: boolean): Promise<string>;
  /** The official SDK as a client of this application. */
  stripe(options?: Partial<Stripe.StripeConfig> & { apiKey?: string }): Stripe;
  close(): Promise<void>;
}

export async function startApp(options: StartAppOptions = {}): Promise<RunningApp> {
  const database =
    options.databaseUrl === undefined
      ? await freshDatabase()
      : { url: options.databaseUrl, drop: () => Promise.resolve() };
  const env = {
    PORT: '0',
    LOG_LEVEL: 'error',
    DRAIN_TIMEOUT_MS: '2000',
    JOBS: 'off',
    // A test that loses a reply retries by itself; recovery would come between now and then.
    IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0',
    ...PATIENT,
    ...options.env,
  };
  const settings = loadSettings({ ...env, DATABASE_URL: database.url });
  const app = await createApplication(settings);
  await app.init();
  const { url, drain } = await listen(app, settings);
  const accounts = app.get(AccountsService);
  const createKey = async (account: string, livemode = false) => {
    await accounts.createAccount(account);
    return (await accounts.createKey(account, livemode)).key;
  };
  const apiKey = await createKey('shop');
  const port = Number(new URL(url).port);
  return {
    url,
    port,
    databaseUrl: database.url,
    app,
    apiKey,
    createKey,
    stripe: ({ apiKey: key = apiKey, ...config } = {}) =>
      new Stripe(key, { host: '127.0.0.1', port, protocol: 'http', telemetry: false, ...config }),
    close: async () => {
      await drain();
      await app.close();
      await database.drop();
    },
  };
}
