/**
 * The entry that `@Idempotent()` puts on a handler: an interceptor without state of a request, which leads to the
 * one engine of the application. Routes without the decorator have no entry, and pay nothing.
 */
import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type OnModuleInit,
} from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { refuseSecondCopy } from './single-copy';

/** Runs a request of a decorated handler at most once. The module provides it; the pipeline is it. */
export abstract class IdempotencyEngine implements NestInterceptor {
  abstract intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): ReturnType<NestInterceptor['intercept']>;
}

/** NestJS makes one for each module with a decorated handler. */
@Injectable()
export class IdempotencyEntry implements NestInterceptor, OnModuleInit {
  private engine?: IdempotencyEngine;

  constructor(private readonly modules: ModuleRef) {}

  /** @throws Error where the application serves HTTP and has no `IdempotencyModule` */
  onModuleInit(): void {
    // A worker may share modules with the server. It has no routes, so it needs no engine.
    const { httpAdapter } = this.modules.get(HttpAdapterHost, { strict: false });
    if (httpAdapter) this.engine = this.findEngine();
  }

  /** @throws Error for anything but an HTTP request, and where there is no `IdempotencyModule` */
  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): ReturnType<NestInterceptor['intercept']> {
    if (context.getType() !== 'http') {
      throw new Error(
        `@Idempotent() on ${nameOf(context)} works for HTTP requests only, and this is one of type ${context.getType()}.`,
      );
    }
    return (this.engine ??= this.findEngine()).intercept(context, next);
  }

  private findEngine(): IdempotencyEngine {
    refuseSecondCopy();
    try {
      return this.modules.get(IdempotencyEngine, { strict: false });
    } catch (cause) {
      throw new Error(
        '@Idempotent() needs IdempotencyModule, and this application does not import it: ' +
          'add IdempotencyModule.forRoot({ scope }) to the imports of its module.',
        { cause },
      );
    }
  }
}

const nameOf = (context: ExecutionContext): string =>
  `${context.getClass().name}.${context.getHandler().name}`;
