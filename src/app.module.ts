/** The table of contents: every module, and how /v1 sets up idempotency. */
import { type DynamicModule, Module } from '@nestjs/common';
import { AccountsModule, principalOf, runAs } from './accounts';
import { CustomersModule } from './customers';
import { DatabaseModule } from './database';
import { GatewayModule } from './gateway';
import { type HttpRequest, IdempotencyModule, type IdempotencyOptions } from './idempotency';
import { IdempotencyKeysModule } from './idempotency-keys';
import { JobsModule } from './jobs';
import { errorLinks } from './openapi';
import { OpsModule } from './ops';
import { PaymentsModule } from './payments';
import { RefundsModule } from './refunds';
import { PublicUrl, Settings, SettingsModule } from './runtime';
import { idempotencyErrorResponse, WireModule, wireProviders } from './wire';

@Module({})
export class AppModule {
  static with(settings: Settings, publicUrl = new PublicUrl(settings)): DynamicModule {
    return {
      module: AppModule,
      imports: [
        SettingsModule.forRoot(settings, publicUrl),
        DatabaseModule.forRoot(),
        AccountsModule,
        {
          ...IdempotencyModule.forRootAsync({
            inject: [Settings, PublicUrl],
            useFactory: idempotencyOptions,
          }),
          // For the jobs, and for the routes of idempotency keys.
          global: true,
        },
        WireModule,
        CustomersModule,
        PaymentsModule,
        RefundsModule,
        GatewayModule,
        IdempotencyKeysModule,
        ...(settings.JOBS === 'on' ? [JobsModule.running()] : []),
        OpsModule,
      ],
      providers: wireProviders(errorLinks(publicUrl), settings.IDEMPOTENCY_REUSED_STATUS),
    };
  }
}

const KEY_REQUIRED = { money: 'by-endpoint', all: 'always', none: 'never' } as const;

/** How keys work on /v1. */
function idempotencyOptions(settings: Settings, publicUrl: PublicUrl): IdempotencyOptions {
  const errorLink = errorLinks(publicUrl);
  return {
    scope: (request) => {
      const principal = principalOf(request);
      return (
        principal && { account: principal.account, mode: principal.livemode ? 'live' : 'test' }
      );
    },
    keyRequired: KEY_REQUIRED[settings.IDEMPOTENCY_KEY_REQUIRED],
    ttlSeconds: settings.IDEMPOTENCY_TTL_SECONDS,
    remoteDeadlineMs: settings.IDEMPOTENCY_REMOTE_DEADLINE_MS,
    idleTransactionTimeoutMs: settings.IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS,
    // In process alone: what arrives on a socket never runs inside it.
    runAs: ({ account, mode }, work) =>
      runAs({ account, livemode: mode === 'live', apiKey: 'recovery' }, work),
    recoveryIntervalMs: settings.IDEMPOTENCY_RECOVERY_INTERVAL_MS,
    purgeIntervalMs: 0, // a job's work: see jobs/
    parkAfterSeconds: settings.IDEMPOTENCY_PARK_AFTER_SECONDS,
    maxWaitSeconds: settings.IDEMPOTENCY_MAX_WAIT_SECONDS,
    maxWaiters: settings.IDEMPOTENCY_MAX_WAITERS,
    replayMemoryBytes: settings.IDEMPOTENCY_REPLAY_MEMORY_BYTES,
    replayRedisUrl: settings.IDEMPOTENCY_REPLAY_REDIS_URL,
    requestId: (request: HttpRequest & { id?: string }) => request.id ?? '',
    formatError: (error, request) =>
      idempotencyErrorResponse(error, request, {
        reusedStatus: settings.IDEMPOTENCY_REUSED_STATUS,
        errorLink,
      }),
  };
}
