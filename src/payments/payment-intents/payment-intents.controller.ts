/** The routes of payment intents (https://docs.stripe.com/api/payment_intents). */
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../../accounts';
import type { Tenant } from '../../database';
import { Idempotent, Phases } from '../../idempotency';
import { API_PATH, Operation } from '../../wire';
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

@Controller(`${API_PATH}/payment_intents`)
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
    @Body() params: CreatePaymentIntentParams,
    @Phases() phases: Phases,
  ) {
    return this.intents.create(tenant, params, phases);
  }

  @Operation('List payment intents, newest first', paymentIntentListSchema)
  @Get()
  list(@CurrentTenant() tenant: Tenant, @Query() params: ListPaymentIntentsParams) {
    return this.intents.list(tenant, params);
  }

  @Operation('Retrieve a payment intent', paymentIntentSchema)
  @Get(':id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() params: RetrievePaymentIntentParams,
  ) {
    return this.intents.retrieve(tenant, id, params);
  }

  @Operation('Update a payment intent', paymentIntentSchema)
  @Post(':id')
  @HttpCode(200)
  @Idempotent()
  update(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: UpdatePaymentIntentParams,
  ) {
    return this.intents.update(tenant, id, params);
  }

  @Operation('Confirm a payment intent', paymentIntentSchema, { declines: true })
  @Post(':id/confirm')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  confirm(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: ConfirmPaymentIntentParams,
    @Phases() phases: Phases,
  ) {
    return this.intents.confirm(tenant, id, params, phases);
  }

  @Operation('Capture what a payment intent holds', paymentIntentSchema, { declines: true })
  @Post(':id/capture')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  capture(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: CapturePaymentIntentParams,
    @Phases() phases: Phases,
  ) {
    return this.intents.capture(tenant, id, params, phases);
  }

  @Operation('Cancel a payment intent', paymentIntentSchema)
  @Post(':id/cancel')
  @HttpCode(200)
  @Idempotent({ required: true, phased: true })
  cancel(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: CancelPaymentIntentParams,
    @Phases() phases: Phases,
  ) {
    return this.intents.cancel(tenant, id, params, phases);
  }
}
