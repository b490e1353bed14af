/** Gives each request of an idempotent endpoint its pending response, on either HTTP adapter. */
import type { ServerResponse } from 'node:http';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import type { HttpRequest } from '../contract/idempotency.options';
import { holdExpressResponse } from './express-response';
import { holdFastifyResponses } from './fastify-response';
import { attachPendingResponse, PendingResponse, pendingResponseOf } from './pending-response';

@Injectable()
export class ResponseGate implements OnModuleInit {
  constructor(private readonly host: HttpAdapterHost) {}

  onModuleInit(): void {
    if (this.host.httpAdapter?.getType() !== 'fastify') return;
    holdFastifyResponses(this.host.httpAdapter.getInstance<FastifyInstance>());
  }

  /**
   * Makes the response of this request pending. An interceptor outside of this module's that tries again
   * gets the same one.
   *
   * @param response Fastify's reply or Express's `res`
   */
  open(request: HttpRequest, response: object): PendingResponse {
    const earlier = pendingResponseOf(request);
    earlier?.tryAgain();
    if (earlier) return earlier;
    const res = (response as { raw?: ServerResponse }).raw ?? (response as ServerResponse);
    const pending = new PendingResponse(res);
    attachPendingResponse(request, pending);
    if (this.host.httpAdapter.getType() !== 'fastify') holdExpressResponse(pending, res);
    return pending;
  }
}
