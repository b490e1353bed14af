/** The resource that tells what became of an idempotency key. */
import { Module } from '@nestjs/common';
import { IdempotencyKeysController } from './idempotency-keys.controller';

@Module({ controllers: [IdempotencyKeysController] })
export class IdempotencyKeysModule {}
