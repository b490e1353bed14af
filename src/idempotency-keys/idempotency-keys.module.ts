/** The module of the resource `idempotency_keys`. */
import { Module } from '@nestjs/common';
import { IdempotencyKeysController } from './idempotency-keys.controller';

@Module({ controllers: [IdempotencyKeysController] })
export class IdempotencyKeysModule {}
