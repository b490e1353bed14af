/** `GET /v1/idempotency_keys/:key` tells what became of the request with a key. */
import { Controller, Get, Param, Req } from '@nestjs/common';
import { type HttpRequest, KeyStatusService } from '../idempotency';
import { API_PATH, Operation, ResourceMissingError } from '../wire';
import {
  idempotencyKeySchema,
  idempotencyKeyToWire,
  type WireIdempotencyKey,
} from './idempotency-key.wire';

/** Tells whether the request with a key was executed (R20). Stripe has no such resource. */
@Controller(`${API_PATH}/idempotency_keys`)
export class IdempotencyKeysController {
  constructor(private readonly keys: KeyStatusService) {}

  @Get(':key')
  @Operation('Ask what became of an idempotency key', idempotencyKeySchema, {
    description:
      'Was my request executed? `running` also while one that broke off waits to be finished. A key ' +
      'that was never used, or is past its life, is a 404.',
  })
  async retrieve(
    @Req() request: HttpRequest,
    @Param('key') key: string,
  ): Promise<WireIdempotencyKey> {
    const status = await this.keys.find(request, key);
    if (!status) throw new ResourceMissingError('idempotency_key', key);
    return idempotencyKeyToWire(key, status);
  }
}
