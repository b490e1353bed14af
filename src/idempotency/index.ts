/** Everything other folders may import of the idempotency module. */
export { Idempotent, idempotentOptionsOf, Phases } from './contract/idempotent.decorator';
export { hasCardNumber } from './request/card-number';
export { IdempotencyModule } from './idempotency.module';
export { IdempotencyKeys, type KeyStatus } from './key-status.service';
export * from './contract/idempotency.errors';
export type {
  Answer,
  HttpRequest,
  IdempotencyOptions,
  IdempotentOptions,
  Scope,
} from './contract/idempotency.options';
export type { RemoteOptions } from './attempts/phased-attempt';
export { IdempotencyKeyEntity } from './store/postgres/key.entity';
export { CreateIdempotencyKeys1764000000000 } from './store/postgres/key.migration';
export { PurgeJob, type PurgeReport } from './recovery/purge.job';
export type { Backlog } from './store/key.store';
export { RecoveryJob, type RecoveryReport } from './recovery/recovery.job';
export { isConnectionLost, outsideTransaction } from './store/postgres/transaction';
