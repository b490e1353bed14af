import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../accounts';
import type { Tenant } from '../database';
import { Idempotent } from '../idempotency';
import {
  CreateCustomerParams,
  DeleteCustomerParams,
  ListCustomersQuery,
  RetrieveCustomerQuery,
  UpdateCustomerParams,
} from './customer.params';
import { CustomersService } from './customers.service';

/** https://docs.stripe.com/api/customers */
@Controller('v1/customers')
export class CustomersController {
  constructor(private readonly customers: CustomersService) {}

  @Post()
  @HttpCode(200)
  @Idempotent()
  create(@CurrentTenant() tenant: Tenant, @Body() params: CreateCustomerParams) {
    return this.customers.create(tenant, params);
  }

  @Get()
  list(@CurrentTenant() tenant: Tenant, @Query() query: ListCustomersQuery) {
    return this.customers.list(tenant, query);
  }

  @Get(':id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() query: RetrieveCustomerQuery,
  ) {
    return this.customers.retrieve(tenant, id, query.expand);
  }

  @Post(':id')
  @HttpCode(200)
  @Idempotent()
  update(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() params: UpdateCustomerParams,
  ) {
    return this.customers.update(tenant, id, params);
  }

  @Delete(':id')
  @Idempotent()
  delete(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body() _params: DeleteCustomerParams,
  ) {
    return this.customers.delete(tenant, id);
  }
}
