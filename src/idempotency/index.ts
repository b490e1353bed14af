/** Everything that an application may import of the idempotency package. */
export { Idempotent, idempotentOptionsOf } from './contract/idempotent.decorator';
export * from './contract/idempotency.errors';
export type {
  ErrorResponse,
  HttpRequest,
  IdempotencyOptions,
  IdempotencyScope,
  IdempotentOptions,
  Isolation,
} from './contract/idempotency.options';
export { Phases, type RemoteOptions } from './contract/phases';
export { IdempotencyModule } from './idempotency.module';
export { KeyStatusService, type KeyStatus } from './key-status.service';
export { PurgeJob, type PurgeReport } from './recovery/purge.job';
export { RecoveryJob, type RecoveryReport } from './recovery/recovery.job';
export { hasCardNumber } from './card-numbers/card-number';
export type { Backlog } from './store/key.store';
export { afterCommit } from './store/postgres/after-commit';
export { outsideTransaction } from './store/postgres/ambient-transaction';
export { isConnectionLost } from './store/postgres/database-errors';
export { IdempotencyKeyEntity } from './store/postgres/key.entity';
export { CreateIdempotencyKeys1764000000000 } from './store/postgres/key.migration';
export { idempotencyMigrations } from './store/postgres/key-schema';
