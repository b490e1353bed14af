/** The routes of payment methods (https://docs.stripe.com/api/payment_methods). */
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../../accounts';
import type { Tenant } from '../../database';
import { Idempotent } from '../../idempotency';
import { API_PATH, Operation } from '../../wire';
import { paymentMethodListSchema, paymentMethodSchema } from './payment-method.wire';
import {
  AttachPaymentMethodParams,
  ListCustomerPaymentMethodsParams,
  ListPaymentMethodsParams,
  RetrievePaymentMethodParams,
} from './payment-methods.params';
import { PaymentMethodsService } from './payment-methods.service';

@Controller(API_PATH)
export class PaymentMethodsController {
  constructor(private readonly methods: PaymentMethodsService) {}

  @Operation('List payment methods, newest first', paymentMethodListSchema)
  @Get('payment_methods')
  list(@CurrentTenant() tenant: Tenant, @Query() params: ListPaymentMethodsParams) {
    return this.methods.list(tenant, params);
  }

  @Operation('List the payment methods of a customer', paymentMethodListSchema)
  @Get('customers/:customer/payment_methods')
  listOfCustomer(
    @CurrentTenant() tenant: Tenant,
    @Param('customer') customer: string,
    @Query() params: ListCustomerPaymentMethodsParams,
  ) {
    return this.methods.listOfCustomer(tenant, customer, params);
  }

  @Operation('Retrieve a payment method', paymentMethodSchema)
  @Get('payment_methods/:id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() params: RetrievePaymentMethodParams,
  ) {
    return this.methods.retrieve(tenant, id, params);
  }

  @Operation('Attach a payment method to a customer', paymentMethodSchema)
  @Post('payment_methods/:id/attach')
  @HttpCode(200)
  @Idempotent()
  attach(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: AttachPaymentMethodParams,
  ) {
    return this.methods.attachTo(tenant, id, params);
  }

  @Operation('Detach a payment method from its customer', paymentMethodSchema)
  @Post('payment_methods/:id/detach')
  @HttpCode(200)
  @Idempotent()
  detach(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: RetrievePaymentMethodParams,
  ) {
    return this.methods.detach(tenant, id, params);
  }
}
