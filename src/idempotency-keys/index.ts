/** The resource that tells what became of the request with an idempotency key. */
export { IdempotencyKeysModule } from './idempotency-keys.module';
