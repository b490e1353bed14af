/**
 * Declares the `Idempotency-Key` header of a handler for @nestjs/swagger, under the name by which that package
 * finds explicit parameters. Where it is not installed nobody reads it.
 */
import type { IdempotentOptions } from './idempotency.options';

// Internals: parameters-of-swagger
const API_PARAMETERS = 'swagger/apiParameters';

interface DeclaredParameter {
  readonly name: string;
  readonly in: string;
}

/** Adds the header, unless the handler takes its key from elsewhere or `@ApiHeader()` below declares it. */
export function documentKeyHeader(handler: object, { key, required }: IdempotentOptions): void {
  const declared = (Reflect.getMetadata(API_PARAMETERS, handler) ?? []) as DeclaredParameter[];
  if (key || declared.some(({ name }) => name.toLowerCase() === 'idempotency-key')) return;
  const header = {
    name: 'Idempotency-Key',
    in: 'header',
    required: required === true,
    description:
      'Names this operation. Send the same key with every retry, and a new one (a UUID, say) for ' +
      'each new operation.',
    schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x20-\\x7e]+$' },
  };
  Reflect.defineMetadata(API_PARAMETERS, [...declared, header], handler);
}
