/** `IdempotencyModule.forRoot({ scope })`: everything `@Idempotent()` needs, on the application's DataSource. */
import { ConfigurableModuleBuilder, Module, type OnModuleInit } from '@nestjs/common';
import {
  METHOD_METADATA,
  RESPONSE_PASSTHROUGH_METADATA,
  ROUTE_ARGS_METADATA,
  RouteParamtypes,
  SSE_METADATA,
} from '@nestjs/common/internal';
import { APP_INTERCEPTOR, DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { DatabaseClock } from './store/database-clock';
import { AnswerGate } from './pipeline/pending-response';
import { IdempotencyInterceptor } from './pipeline/idempotency.interceptor';
import { IdempotencyKeys } from './key-status.service';
import {
  type IdempotencyOptions,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
  resolveOptions,
} from './contract/idempotency.options';
import { idempotentOptionsOf } from './contract/idempotent.decorator';
import { KeyStore } from './store/key.store';
import { PostgresKeyStore } from './store/postgres/postgres-key.store';
import { PurgeJob } from './recovery/purge.job';
import { RecoveryJob } from './recovery/recovery.job';
import { RecoveryTimer } from './recovery/recovery.timer';
import { RedisReplays } from './replays/redis-replays';
import { ReplayCache } from './replays/replay-cache';
import { joinAmbientTransaction, surviveLostConnections } from './store/postgres/transaction';
import { WaitingRoom } from './pipeline/waiting-room';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<IdempotencyOptions>().setClassMethodName('forRoot').build();

@Module({
  imports: [DiscoveryModule],
  providers: [
    { provide: RESOLVED_OPTIONS, inject: [MODULE_OPTIONS_TOKEN], useFactory: resolveOptions },
    {
      provide: KeyStore,
      inject: [DataSource, RESOLVED_OPTIONS, DatabaseClock],
      useFactory: (dataSource: DataSource, options: ResolvedOptions, clock: DatabaseClock) => {
        joinAmbientTransaction(dataSource);
        surviveLostConnections(dataSource);
        return new PostgresKeyStore(dataSource, options.idleTransactionTimeoutMs, clock);
      },
    },
    DatabaseClock,
    RedisReplays,
    {
      provide: ReplayCache,
      inject: [DatabaseClock, RESOLVED_OPTIONS, RedisReplays],
      useFactory: (clock: DatabaseClock, options: ResolvedOptions, redis: RedisReplays) =>
        new ReplayCache(
          clock,
          options.replayMemoryBytes,
          options.replayRedisUrl ? redis : undefined,
        ),
    },
    {
      provide: WaitingRoom,
      inject: [RESOLVED_OPTIONS],
      useFactory: ({ maxWaiters }: ResolvedOptions) => new WaitingRoom(maxWaiters),
    },
    AnswerGate,
    IdempotencyKeys,
    PurgeJob,
    RecoveryJob,
    RecoveryTimer,
    { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
  ],
  exports: [IdempotencyKeys, PurgeJob, RecoveryJob],
})
export class IdempotencyModule extends ConfigurableModuleClass implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {
    super();
  }

  /** @throws Error naming each idempotent handler whose answer could not be stored (R16) */
  onModuleInit(): void {
    const wrong = this.discovery.getControllers().flatMap(({ instance }) => {
      if (!instance) return [];
      const prototype = Object.getPrototypeOf(instance) as Record<string, object>;
      return this.scanner
        .getAllMethodNames(prototype)
        .filter((name) => idempotentOptionsOf(prototype[name] as object))
        .flatMap((name) => unstorable(instance as object, prototype[name] as object, name));
    });
    if (wrong.length > 0) throw new Error(wrong.join(' '));
  }
}

/** Parameters with which a handler answers by itself: `@Res()` and `@Next()`. */
const TAKES_RESPONSE = new Set<number>([RouteParamtypes.RESPONSE, RouteParamtypes.NEXT]);

/** What can be seen of a handler before it runs. */
function unstorable(instance: object, handler: object, name: string): string[] {
  const where = `${instance.constructor.name}.${name}`;
  if (!Reflect.hasMetadata(METHOD_METADATA, handler)) {
    return [`@Idempotent() on ${where} has no effect: it is not a route .`];
  }
  if (Reflect.getMetadata(SSE_METADATA, handler)) {
    return [`@Idempotent() on ${where}: an event stream cannot be stored and replayed.`];
  }
  const parameters = Object.keys(
    (Reflect.getMetadata(ROUTE_ARGS_METADATA, instance.constructor, name) ?? {}) as object,
  );
  const takesResponse = parameters.some((key) => TAKES_RESPONSE.has(Number(key.split(':', 1)[0])));
  const passthrough = Boolean(
    Reflect.getMetadata(RESPONSE_PASSTHROUGH_METADATA, instance.constructor, name),
  );
  return takesResponse && !passthrough
    ? [
        `@Idempotent() on ${where}: @Res() needs { passthrough: true }, or its answer is not stored.`,
      ]
    : [];
}
