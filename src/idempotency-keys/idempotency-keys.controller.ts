import { Controller, Get, Param, Req } from '@nestjs/common';
import { type HttpRequest, IdempotencyKeys } from '../idempotency';
import { ResourceMissingError, unixSeconds } from '../wire';

/** "Was my request executed?" (R20). paidonce's own: Stripe has no such resource. */
@Controller('v1/idempotency_keys')
export class IdempotencyKeysController {
  constructor(private readonly keys: IdempotencyKeys) {}

  @Get(':key')
  async retrieve(@Req() request: HttpRequest, @Param('key') key: string) {
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
