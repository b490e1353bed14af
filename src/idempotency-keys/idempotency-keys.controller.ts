import { Controller, Get, Param, Req } from '@nestjs/common';
import { type HttpRequest, IdempotencyKeys } from '../idempotency';
import {
  integer,
  literal,
  named,
  object,
  oneOf,
  Operation,
  orNull,
  ResourceMissingError,
  text,
  type TypeOf,
  unixSeconds,
} from '../wire';

/** What became of a key, as it goes over the wire. */
export const idempotencyKeySchema = named(
  'IdempotencyKey',
  object({
    id: text(),
    object: literal('idempotency_key'),
    state: oneOf(['running', 'finished']),
    operation: orNull(text('Method and route of the request that used it first.')),
    original_request: orNull(text('The Request-Id of that request.')),
    status: orNull(integer('HTTP status of the stored answer.')),
    created: orNull(integer('Unix seconds.')),
    expires_at: orNull(integer('Unix seconds.')),
  }),
);

/** "Was my request executed?" (R20). paidonce's own: Stripe has no such resource. */
@Controller('v1/idempotency_keys')
export class IdempotencyKeysController {
  constructor(private readonly keys: IdempotencyKeys) {}

  @Get(':key')
  @Operation('Ask what became of an idempotency key', idempotencyKeySchema, {
    description:
      'Was my request executed? `running` also while one that broke off waits to be finished. A key ' +
      'that was never used, or is past its life, is a 404.',
  })
  async retrieve(
    @Req() request: HttpRequest,
    @Param('key') key: string,
  ): Promise<TypeOf<typeof idempotencyKeySchema>> {
    const found = await this.keys.find(request, key);
    if (!found) throw new ResourceMissingError('idempotency_key', key);
    return {
      id: key,
      object: 'idempotency_key',
      state: found.state,
      operation: found.operation ?? null,
      original_request: found.originalRequest ?? null,
      status: found.status ?? null,
      created: found.createdAt ? unixSeconds(found.createdAt) : null,
      expires_at: found.expiresAt ? unixSeconds(found.expiresAt) : null,
    };
  }
}
