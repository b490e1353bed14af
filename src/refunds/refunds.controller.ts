/** The routes of refunds (https://docs.stripe.com/api/refunds). */
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../accounts';
import type { Tenant } from '../database';
import { Idempotent, Phases } from '../idempotency';
import { API_PATH, Operation } from '../wire';
import { refundListSchema, refundSchema } from './refund.wire';
import {
  CreateRefundParams,
  ExpandRefundParams,
  ListRefundsParams,
  UpdateRefundParams,
} from './refunds.params';
import { RefundsService } from './refunds.service';

@Controller(`${API_PATH}/refunds`)
export class RefundsController {
  constructor(private readonly refunds: RefundsService) {}

  @Operation('Create a refund', refundSchema)
  @Post()
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  create(
    @CurrentTenant() tenant: Tenant,
    @Body() params: CreateRefundParams,
    @Phases() phases: Phases,
  ) {
    return this.refunds.create(tenant, params, phases);
  }

  @Operation('List refunds, newest first', refundListSchema)
  @Get()
  list(@CurrentTenant() tenant: Tenant, @Query() params: ListRefundsParams) {
    return this.refunds.list(tenant, params);
  }

  @Operation('Retrieve a refund', refundSchema)
  @Get(':id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() params: ExpandRefundParams,
  ) {
    return this.refunds.retrieve(tenant, id, params);
  }

  @Operation('Update a refund', refundSchema)
  @Post(':id')
  @HttpCode(200)
  @Idempotent()
  update(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: UpdateRefundParams,
  ) {
    return this.refunds.update(tenant, id, params);
  }

  @Operation('Cancel a refund', refundSchema)
  @Post(':id/cancel')
  @HttpCode(200)
  @Idempotent({ required: true })
  cancel(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: ExpandRefundParams,
  ) {
    return this.refunds.cancel(tenant, id, params);
  }
}
