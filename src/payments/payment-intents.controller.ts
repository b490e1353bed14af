import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../accounts';
import type { Tenant } from '../database';
import { Idempotent, Phases } from '../idempotency';
import {
  CancelPaymentIntent,
  CapturePaymentIntent,
  ConfirmPaymentIntent,
  CreatePaymentIntent,
  ListPaymentIntents,
  RetrievePaymentIntent,
  UpdatePaymentIntent,
} from './payment-intents.requests';
import { PaymentIntentsService } from './payment-intents.service';

/** https://docs.stripe.com/api/payment_intents */
@Controller('v1/payment_intents')
export class PaymentIntentsController {
  constructor(private readonly intents: PaymentIntentsService) {}

  @Post()
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  create(
    @CurrentTenant() tenant: Tenant,
    @Body() request: CreatePaymentIntent,
    @Phases() phases: Phases,
  ) {
    return this.intents.create(tenant, request, phases);
  }

  @Get()
  list(@CurrentTenant() tenant: Tenant, @Query() query: ListPaymentIntents) {
    return this.intents.list(tenant, query);
  }

  @Get(':id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() query: RetrievePaymentIntent,
  ) {
    return this.intents.retrieve(tenant, id, query);
  }

  @Post(':id')
  @HttpCode(200)
  @Idempotent()
  update(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: UpdatePaymentIntent,
  ) {
    return this.intents.update(tenant, id, request);
  }

  @Post(':id/confirm')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  confirm(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: ConfirmPaymentIntent,
    @Phases() phases: Phases,
  ) {
    return this.intents.confirm(tenant, id, request, phases);
  }

  @Post(':id/capture')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  capture(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: CapturePaymentIntent,
    @Phases() phases: Phases,
  ) {
    return this.intents.capture(tenant, id, request, phases);
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  cancel(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: CancelPaymentIntent,
    @Phases() phases: Phases,
  ) {
    return this.intents.cancel(tenant, id, request, phases);
  }
}
