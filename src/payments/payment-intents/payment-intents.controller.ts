import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../../accounts';
import type { Tenant } from '../../database';
import { Idempotent, Phases } from '../../idempotency';
import { Operation } from '../../wire';
import { paymentIntentListSchema, paymentIntentSchema } from './payment-intent.wire';
import {
  CancelPaymentIntentParams,
  CapturePaymentIntentParams,
  ConfirmPaymentIntentParams,
  CreatePaymentIntentParams,
  ListPaymentIntentsParams,
  RetrievePaymentIntentParams,
  UpdatePaymentIntentParams,
} from './payment-intents.params';
import { PaymentIntentsService } from './payment-intents.service';

/** https://docs.stripe.com/api/payment_intents */
@Controller('v1/payment_intents')
export class PaymentIntentsController {
  constructor(private readonly intents: PaymentIntentsService) {}

  @Operation('Create a payment intent', paymentIntentSchema, {
    declines: true,
    example: { amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true },
  })
  @Post()
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  create(
    @CurrentTenant() tenant: Tenant,
    @Body() request: CreatePaymentIntentParams,
    @Phases() phases: Phases,
  ) {
    return this.intents.create(tenant, request, phases);
  }

  @Operation('List payment intents, newest first', paymentIntentListSchema)
  @Get()
  list(@CurrentTenant() tenant: Tenant, @Query() query: ListPaymentIntentsParams) {
    return this.intents.list(tenant, query);
  }

  @Operation('Retrieve a payment intent', paymentIntentSchema)
  @Get(':id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() query: RetrievePaymentIntentParams,
  ) {
    return this.intents.retrieve(tenant, id, query);
  }

  @Operation('Update a payment intent', paymentIntentSchema)
  @Post(':id')
  @HttpCode(200)
  @Idempotent()
  update(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: UpdatePaymentIntentParams,
  ) {
    return this.intents.update(tenant, id, request);
  }

  @Operation('Confirm a payment intent', paymentIntentSchema, { declines: true })
  @Post(':id/confirm')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  confirm(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: ConfirmPaymentIntentParams,
    @Phases() phases: Phases,
  ) {
    return this.intents.confirm(tenant, id, request, phases);
  }

  @Operation('Capture what a payment intent holds', paymentIntentSchema, { declines: true })
  @Post(':id/capture')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  capture(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: CapturePaymentIntentParams,
    @Phases() phases: Phases,
  ) {
    return this.intents.capture(tenant, id, request, phases);
  }

  @Operation('Cancel a payment intent', paymentIntentSchema)
  @Post(':id/cancel')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  cancel(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: CancelPaymentIntentParams,
    @Phases() phases: Phases,
  ) {
    return this.intents.cancel(tenant, id, request, phases);
  }
}
