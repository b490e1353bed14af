/** Customers: who pays. */
export { CreateCustomers1764000002000 } from './customers.migration';
export { CustomersModule } from './customers.module';
export {
  CustomersService,
  type CustomerSummary,
  type CustomerPaymentMethods,
} from './customers.service';
export {
  orderShippingOf,
  OrderShippingParams,
  orderShippingSchema,
  type OrderShipping,
} from './order-shipping';
