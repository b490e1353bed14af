/** An idempotency key as it goes over the wire. */
import type { KeyStatus } from '../idempotency';
import {
  integer,
  literal,
  named,
  object,
  oneOf,
  orNull,
  text,
  type TypeOf,
  unixSeconds,
} from '../wire';

export const idempotencyKeySchema = named(
  'IdempotencyKey',
  object({
    id: text(),
    object: literal('idempotency_key'),
    state: oneOf(['running', 'finished']),
    operation: orNull(text('Method and route of the request that used it first.')),
    original_request: orNull(text('The Request-Id of that request.')),
    status: orNull(integer('HTTP status of the stored response.')),
    created: orNull(integer('Unix seconds.')),
    expires_at: orNull(integer('Unix seconds.')),
  }),
);

export type WireIdempotencyKey = TypeOf<typeof idempotencyKeySchema>;

export function idempotencyKeyToWire(key: string, status: KeyStatus): WireIdempotencyKey {
  return {
    id: key,
    object: 'idempotency_key',
    state: status.state,
    operation: status.operation ?? null,
    original_request: status.originalRequest ?? null,
    status: status.status ?? null,
    created: status.createdAt ? unixSeconds(status.createdAt) : null,
    expires_at: status.expiresAt ? unixSeconds(status.expiresAt) : null,
  };
}
