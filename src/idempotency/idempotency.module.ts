/**
 * `IdempotencyModule.forRoot({ scope })`: everything that `@Idempotent()` needs, on the application's
 * DataSource. The rooms, in the order of their imports: card numbers and contract (what a developer touches),
 * request, store, attempts and replays, pipeline, recovery.
 */
import {
  ConfigurableModuleBuilder,
  type ConfigurableModuleCls,
  Module,
  type OnModuleInit,
} from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import { IdempotencyEngine } from './contract/idempotency-entry';
import {
  type IdempotencyOptions,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
  resolveOptions,
} from './contract/idempotency.options';
import { idempotentOptionsOf } from './contract/idempotent.decorator';
import {
  METHOD_METADATA,
  RESPONSE_PARAMETERS,
  RESPONSE_PASSTHROUGH_METADATA,
  ROUTE_ARGS_METADATA,
  SSE_METADATA,
} from './contract/nest-metadata';
import { refuseSecondCopy } from './contract/single-copy';
import { KeyStatusService } from './key-status.service';
import { AttemptFactory } from './attempts/attempt-factory';
import { Admission } from './pipeline/admission';
import { Finishing } from './pipeline/finishing';
import { IdempotencyInterceptor } from './pipeline/idempotency.interceptor';
import { InFlight } from './pipeline/in-flight';
import { OuterInterceptors } from './pipeline/outer-interceptors';
import { Refusals } from './pipeline/refusals';
import { ResponseGate } from './pipeline/response-gate';
import { WaitingRoom } from './pipeline/waiting-room';
import { PurgeJob } from './recovery/purge.job';
import { PurgeTimer } from './recovery/purge.timer';
import { RecoveryJob } from './recovery/recovery.job';
import { RecoveryTimer } from './recovery/recovery.timer';
import { RedisReplays } from './replays/redis-replays';
import { ReplayCache } from './replays/replay-cache';
import { DatabaseClock } from './store/database-clock';
import { KeySchema } from './store/postgres/key-schema';
import { postgresKeyStore } from './store/postgres/key-store.provider';

const { ConfigurableModuleClass: Configurable, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<IdempotencyOptions>().setClassMethodName('forRoot').build();
// Its type by name: the compiler's own way to write it is not understood by every compiler.
const ConfigurableModuleClass: ConfigurableModuleCls<IdempotencyOptions, 'forRoot'> = Configurable;

@Module({
  imports: [DiscoveryModule],
  providers: [
    { provide: RESOLVED_OPTIONS, inject: [MODULE_OPTIONS_TOKEN], useFactory: resolveOptions },
    postgresKeyStore,
    KeySchema,
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
    AttemptFactory,
    ResponseGate,
    InFlight,
    Admission,
    OuterInterceptors,
    Refusals,
    Finishing,
    KeyStatusService,
    PurgeJob,
    RecoveryJob,
    RecoveryTimer,
    PurgeTimer,
    { provide: IdempotencyEngine, useClass: IdempotencyInterceptor },
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

  /**
   * @throws Error that names each decorated method that is no route handler or whose response could not be stored
   *   (R16), or the copies of this package where there are several
   */
  onModuleInit(): void {
    refuseSecondCopy();
    const all = [...this.discovery.getControllers(), ...this.discovery.getProviders()];
    const wrong = new Set(all.flatMap(({ instance }) => this.faultsOf(instance as unknown)));
    if (wrong.size > 0) throw new Error([...wrong].join(' '));
  }

  /** What is wrong with the decorated methods of a controller or a provider, a sentence each. */
  private faultsOf(instance: unknown): string[] {
    if (typeof instance !== 'object' || instance === null) return [];
    const prototype = Object.getPrototypeOf(instance) as Record<string, object> | null;
    if (!prototype) return [];
    return this.scanner
      .getAllMethodNames(prototype)
      .filter((name) => idempotentOptionsOf(prototype[name] as object))
      .flatMap((name) => unstorable(instance, prototype[name] as object, name));
  }
}

/** Why a handler's response could not be stored, as far as its decorators show; empty where it can. */
function unstorable(instance: object, handler: object, name: string): string[] {
  const where = `${instance.constructor.name}.${name}`;
  if (!Reflect.hasMetadata(METHOD_METADATA, handler)) {
    return [
      `@Idempotent() on ${where} has no effect: the method is not a route handler. ` +
        'Decorate the controller method that receives the HTTP request.',
    ];
  }
  if (Reflect.getMetadata(SSE_METADATA, handler)) {
    return [`@Idempotent() on ${where}: an event stream cannot be stored and replayed.`];
  }
  const parameters = Object.keys(
    (Reflect.getMetadata(ROUTE_ARGS_METADATA, instance.constructor, name) ?? {}) as object,
  );
  const respondsItself = parameters.some((key) =>
    RESPONSE_PARAMETERS.has(Number(key.split(':', 1)[0])),
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
