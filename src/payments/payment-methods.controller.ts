import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../accounts';
import type { Tenant } from '../database';
import { Idempotent } from '../idempotency';
import {
  AttachPaymentMethod,
  ListCustomerPaymentMethods,
  ListPaymentMethods,
  RetrievePaymentMethod,
} from './payment-methods.requests';
import { PaymentMethodsService } from './payment-methods.service';

/** https://docs.stripe.com/api/payment_methods */
@Controller('v1')
export class PaymentMethodsController {
  constructor(private readonly methods: PaymentMethodsService) {}

  @Get('payment_methods')
  list(@CurrentTenant() tenant: Tenant, @Query() query: ListPaymentMethods) {
    return this.methods.list(tenant, query);
  }

  @Get('customers/:customer/payment_methods')
  listOfCustomer(
    @CurrentTenant() tenant: Tenant,
    @Param('customer') customer: string,
    @Query() query: ListCustomerPaymentMethods,
  ) {
    return this.methods.listOfCustomer(tenant, customer, query);
  }

  @Get('payment_methods/:id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() query: RetrievePaymentMethod,
  ) {
    return this.methods.retrieve(tenant, id, query);
  }

  @Post('payment_methods/:id/attach')
  @HttpCode(200)
  @Idempotent()
  attach(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: AttachPaymentMethod,
  ) {
    return this.methods.attachTo(tenant, id, request);
  }

  @Post('payment_methods/:id/detach')
  @HttpCode(200)
  @Idempotent()
  detach(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() request: RetrievePaymentMethod,
  ) {
    return this.methods.detach(tenant, id, request);
  }
}
