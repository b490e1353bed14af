/** The routes of customers (https://docs.stripe.com/api/customers). */
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentTenant } from '../accounts';
import type { Tenant } from '../database';
import { Idempotent } from '../idempotency';
import { API_PATH, either, Operation } from '../wire';
import {
  CreateCustomerParams,
  DeleteCustomerParams,
  ListCustomersParams,
  RetrieveCustomerParams,
  UpdateCustomerParams,
} from './customers.params';
import { customerListSchema, customerSchema, deletedCustomerSchema } from './customer.wire';
import { CustomersService } from './customers.service';

@Controller(`${API_PATH}/customers`)
export class CustomersController {
  constructor(private readonly customers: CustomersService) {}

  @Operation('Create a customer', customerSchema, {
    example: { name: 'Ada Lovelace', email: 'ada@example.com', payment_method: 'pm_card_visa' },
  })
  @Post()
  @HttpCode(200)
  @Idempotent()
  create(@CurrentTenant() tenant: Tenant, @Body() params: CreateCustomerParams) {
    return this.customers.create(tenant, params);
  }

  @Operation('List customers, newest first', customerListSchema)
  @Get()
  list(@CurrentTenant() tenant: Tenant, @Query() params: ListCustomersParams) {
    return this.customers.list(tenant, params);
  }

  @Operation('Retrieve a customer', either(customerSchema, deletedCustomerSchema))
  @Get(':id')
  retrieve(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query() params: RetrieveCustomerParams,
  ) {
    return this.customers.retrieve(tenant, id, params.expand);
  }

  @Operation('Update a customer', customerSchema)
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

  @Operation('Delete a customer', deletedCustomerSchema)
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
