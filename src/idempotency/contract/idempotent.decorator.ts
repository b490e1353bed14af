/** `@Idempotent()`: what a developer writes on an endpoint. */
import 'reflect-metadata';
import { UseInterceptors } from '@nestjs/common';
import { documentKeyHeader } from './documented-header';
import { currentHandlerContext } from './handler-context';
import { IdempotencyEntry } from './idempotency-entry';
import { type IdempotentOptions, ISOLATION_LEVELS } from './idempotency.options';

const ENDPOINT = Symbol.for('paidonce:idempotent');

/**
 * Executes this endpoint at most once for each `Idempotency-Key`. Every copy of the request gets the same
 * response, byte for byte (R6). `GET`, `HEAD` and `OPTIONS` ignore it (R2).
 *
 * Interceptors written above it are inside: they run with the handler, in its transaction, and not for a
 * replay. Those below it, those of the controller and global ones are outside: they run for each replay too,
 * and get the stored value.
 *
 * @throws Error at start-up when `ttl` is outside 60 to 2,592,000 seconds, when `headers` names a credential,
 *   when `isolation` is no isolation level, for `compare: 'key'` without `key` or with `ignore`, and on a handler that has it already
 */
export function Idempotent(options: IdempotentOptions = {}): MethodDecorator {
  const { ttl } = options;
  if (ttl !== undefined && (!Number.isInteger(ttl) || ttl < 60 || ttl > 2_592_000)) {
    throw new Error(`@Idempotent({ ttl: ${ttl} }): ttl is in seconds, from 60 to 2592000.`);
  }
  const { isolation } = options;
  if (isolation !== undefined && !ISOLATION_LEVELS.includes(isolation)) {
    const levels = ISOLATION_LEVELS.join(', ');
    throw new Error(
      `@Idempotent({ isolation: '${isolation as string}' }): it is one of ${levels}.`,
    );
  }
  const secret = (options.headers ?? []).find((name) => /^(authorization|cookie)$/i.test(name));
  if (secret)
    throw new Error(`@Idempotent({ headers: ['${secret}'] }): credentials are not stored.`);
  if (options.compare === 'key' && (!options.key || options.ignore)) {
    throw new Error(
      "@Idempotent({ compare: 'key' }): it takes `key`, and leaves nothing for `ignore`.",
    );
  }
  return (target, name, descriptor: PropertyDescriptor) => {
    const handler = descriptor.value as (...args: unknown[]) => unknown;
    if (idempotentOptionsOf(handler)) {
      throw new Error(`@Idempotent() is on ${target.constructor.name}.${String(name)} twice.`);
    }
    // Pipes and inner interceptors run after this module's interceptor, and may refuse the request with
    // the same kinds of error as the handler. Only the handler's own outcome is stored (R13, R14), so
    // the handler reports that it was reached.
    const reported = function (this: unknown, ...args: unknown[]): unknown {
      const context = currentHandlerContext();
      if (!context) return handler.apply(this, args);
      context.entered = true;
      return (context.returned = handler.apply(this, args));
    };
    Object.defineProperty(reported, 'name', { value: handler.name });
    for (const key of Reflect.getMetadataKeys(handler)) {
      Reflect.defineMetadata(key, Reflect.getMetadata(key, handler), reported);
    }
    Reflect.defineMetadata(ENDPOINT, options, reported);
    documentKeyHeader(reported, options);
    descriptor.value = reported;
    // NestJS runs interceptors in the order of this list, and each decorator adds to its end.
    UseInterceptors(IdempotencyEntry)(target, name, descriptor);
  };
}

/** The options a handler was decorated with; nothing for a handler that is not idempotent. */
export function idempotentOptionsOf(handler: object): IdempotentOptions | undefined {
  return Reflect.getMetadata(ENDPOINT, handler) as IdempotentOptions | undefined;
}
