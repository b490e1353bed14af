/**
 * `IdempotencyModule.forRoot({ scope })`: everything that `@Idempotent()` needs, on the application's
 * DataSource. The rooms, in the order of their imports: contract (what a developer touches), request,
 * store, attempts and replays, pipeline, recovery.
 */
import { ConfigurableModuleBuilder, Module, type OnModuleInit } from '@nestjs/common';
import {
  METHOD_METADATA,
  RESPONSE_PASSTHROUGH_METADATA,
  ROUTE_ARGS_METADATA,
  RouteParamtypes,
  SSE_METADATA,
} from '@nestjs/common/internal';
import { APP_INTERCEPTOR, DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import {
  type IdempotencyOptions,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
  resolveOptions,
} from './contract/idempotency.options';
import { idempotentOptionsOf } from './contract/idempotent.decorator';
import { KeyStatusService } from './key-status.service';
import { IdempotencyInterceptor } from './pipeline/idempotency.interceptor';
import { ResponseGate } from './pipeline/response-gate';
import { WaitingRoom } from './pipeline/waiting-room';
import { PurgeJob } from './recovery/purge.job';
import { RecoveryJob } from './recovery/recovery.job';
import { RecoveryTimer } from './recovery/recovery.timer';
import { RedisReplays } from './replays/redis-replays';
import { ReplayCache } from './replays/replay-cache';
import { DatabaseClock } from './store/database-clock';
import { postgresKeyStore } from './store/postgres/key-store.provider';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<IdempotencyOptions>().setClassMethodName('forRoot').build();

@Module({
  imports: [DiscoveryModule],
  providers: [
    { provide: RESOLVED_OPTIONS, inject: [MODULE_OPTIONS_TOKEN], useFactory: resolveOptions },
    postgresKeyStore,
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
    ResponseGate,
    KeyStatusService,
    PurgeJob,
    RecoveryJob,
    RecoveryTimer,
    { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
  ],
  exports: [KeyStatusService, PurgeJob, RecoveryJob],
})
export class IdempotencyModule extends ConfigurableModuleClass implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {
    super();
  }

  /** @throws Error that names each idempotent handler whose response could not be stored (R16) */
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

/** Parameters with which a handler responds by itself: `@Res()` and `@Next()`. */
const RESPONDS_ITSELF = new Set<number>([RouteParamtypes.RESPONSE, RouteParamtypes.NEXT]);

/** Why a handler's response could not be stored, as far as its decorators show; empty where it can. */
function unstorable(instance: object, handler: object, name: string): string[] {
  const where = `${instance.constructor.name}.${name}`;
  if (!Reflect.hasMetadata(METHOD_METADATA, handler)) {
    return [`@Idempotent() on ${where} has no effect: the method is not a route handler.`];
  }
  if (Reflect.getMetadata(SSE_METADATA, handler)) {
    return [`@Idempotent() on ${where}: an event stream cannot be stored and replayed.`];
  }
  const parameters = Object.keys(
    (Reflect.getMetadata(ROUTE_ARGS_METADATA, instance.constructor, name) ?? {}) as object,
  );
  const respondsItself = parameters.some((key) =>
    RESPONDS_ITSELF.has(Number(key.split(':', 1)[0])),
  );
  const passthrough = Boolean(
    Reflect.getMetadata(RESPONSE_PASSTHROUGH_METADATA, instance.constructor, name),
  );
  return respondsItself && !passthrough
    ? [
        `@Idempotent() on ${where}: @Res() needs { passthrough: true }, or its response is not stored.`,
      ]
    : [];
}
