/** Everything other folders may import of the idempotency module. */
export { Idempotent, idempotentOptionsOf, Phases } from './idempotent.decorator';
export { hasCardNumber } from './card-number';
export { IdempotencyModule } from './idempotency.module';
export { IdempotencyKeys, type KeyStatus } from './idempotency.keys';
export * from './idempotency.errors';
export type {
  Answer,
  HttpRequest,
  IdempotencyOptions,
  IdempotentOptions,
  Scope,
} from './idempotency.options';
export type { RemoteOptions } from './phases';
export { IdempotencyKeyEntity } from './key.entity';
export { CreateIdempotencyKeys1764000000000 } from './key.migration';
export { PurgeJob, type PurgeReport } from './purge.job';
export type { Backlog } from './key.store';
export { RecoveryJob, type RecoveryReport } from './recovery.job';
export { isConnectionLost, outsideTransaction } from './transaction';
