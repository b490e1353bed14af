/** Which handlers have interceptors outside of `@Idempotent()`: those run for a replay too, and want a value. */
import { type ExecutionContext, Injectable } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { IdempotencyEntry } from '../contract/idempotency-entry';
import { INTERCEPTORS_METADATA } from '../contract/nest-metadata';

@Injectable()
export class OuterInterceptors {
  constructor(private readonly config: ApplicationConfig) {}

  /** Whether there are any. Where there are none, no stored body need be parsed. */
  has(context: ExecutionContext): boolean {
    return (
      this.config.getGlobalInterceptors().length > 0 ||
      this.config.getGlobalRequestInterceptors().length > 0 ||
      interceptorsOf(context.getClass()).length > 0 ||
      interceptorsOf(context.getHandler())[0] !== IdempotencyEntry
    );
  }
}

const interceptorsOf = (decorated: object): readonly unknown[] =>
  (Reflect.getMetadata(INTERCEPTORS_METADATA, decorated) ?? []) as unknown[];
