/** `@Idempotent()`: what a developer writes on an endpoint, and `@Phases()` for its parameter. */
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { IdempotentOptions } from './idempotency.options';
import { exchangeOf, currentExchange } from '../pipeline/pending-response';
import type { Phases as PhasesPort } from '../attempts/phased-attempt';

const ENDPOINT = Symbol('paidonce:idempotent');

/**
 * Runs this endpoint at most once for each `Idempotency-Key`, and answers every copy of the request
 * with the same bytes. `GET`, `HEAD` and `OPTIONS` ignore it.
 *
 * @throws Error at start-up when `ttl` is outside 60 to 2,592,000 seconds
 */
export function Idempotent(options: IdempotentOptions = {}): MethodDecorator {
  const { ttl } = options;
  if (ttl !== undefined && (!Number.isInteger(ttl) || ttl < 60 || ttl > 2_592_000)) {
    throw new Error(`@Idempotent({ ttl: ${ttl} }): ttl is in seconds, from 60 to 2592000.`);
  }
  const secret = (options.headers ?? []).find((name) => /^(authorization|cookie)$/i.test(name));
  if (secret)
    throw new Error(`@Idempotent({ headers: ['${secret}'] }): credentials are not stored.`);
  return (_target, _name, descriptor: PropertyDescriptor) => {
    const handler = descriptor.value as (...args: unknown[]) => unknown;
    // Pipes and inner interceptors run after ours and may refuse the request with the same kinds of
    // error as the handler. Only what the handler itself answers is stored (R13, R14), so the
    // handler says when it is entered.
    const entered = function (this: unknown, ...args: unknown[]): unknown {
      currentExchange()?.enter();
      return handler.apply(this, args);
    };
    Object.defineProperty(entered, 'name', { value: handler.name });
    for (const key of Reflect.getMetadataKeys(handler)) {
      Reflect.defineMetadata(key, Reflect.getMetadata(key, handler), entered);
    }
    Reflect.defineMetadata(ENDPOINT, options, entered);
    descriptor.value = entered;
  };
}

/** The options a handler was decorated with; nothing for a handler that is not idempotent. */
export function idempotentOptionsOf(handler: object): IdempotentOptions | undefined {
  return Reflect.getMetadata(ENDPOINT, handler) as IdempotentOptions | undefined;
}

/** The phases of this request, as a parameter of a handler with `@Idempotent({ phased: true })`. */
export const Phases = createParamDecorator((_: unknown, context: ExecutionContext): Phases => {
  const phases = exchangeOf(context.switchToHttp().getRequest<object>())?.phases;
  if (!phases) {
    throw new Error('@Phases() needs @Idempotent({ phased: true }) on the same handler.');
  }
  return phases;
});
export type Phases = PhasesPort;
