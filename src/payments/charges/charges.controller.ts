/** The routes of charges (https://docs.stripe.com/api/charges). */
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../../accounts';
import type { Tenant } from '../../database';
import { Idempotent, Phases } from '../../idempotency';
import { API_PATH, Operation } from '../../wire';
import { chargeListSchema, chargeSchema } from './charge.wire';
import {
  CaptureChargeParams,
  CreateChargeParams,
  ListChargesParams,
  RetrieveChargeParams,
  UpdateChargeParams,
} from './charges.params';
import { ChargesService } from './charges.service';

@Controller(`${API_PATH}/charges`)
export class ChargesController {
  constructor(private readonly charges: ChargesService) {}

  @Operation('Create a charge', chargeSchema, {
    declines: true,
    example: { amount: 2000, currency: 'usd', source: 'tok_visa' },
  })
  @Post()
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  create(
    @CurrentTenant() tenant: Tenant,
    @Body() params: CreateChargeParams,
    @Phases() phases: Phases,
  ) {
    return this.charges.create(tenant, params, phases);
  }

  @Operation('List charges, newest first', chargeListSchema)
  @Get()
  list(@CurrentTenant() tenant: Tenant, @Query() params: ListChargesParams) {
    return this.charges.list(tenant, params);
  }

  @Operation('Retrieve a charge', chargeSchema)
  @Get(':id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() params: RetrieveChargeParams,
  ) {
    return this.charges.retrieve(tenant, id, params);
  }

  @Operation('Update a charge', chargeSchema)
  @Post(':id')
  @HttpCode(200)
  @Idempotent()
  update(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: UpdateChargeParams,
  ) {
    return this.charges.update(tenant, id, params);
  }

  @Operation('Capture a charge', chargeSchema, { declines: true })
  @Post(':id/capture')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  capture(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: CaptureChargeParams,
    @Phases() phases: Phases,
  ) {
    return this.charges.capture(tenant, id, params, phases);
  }
}
