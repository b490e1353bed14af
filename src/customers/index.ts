/** Customers: who pays. */
export { CreateCustomers1764000002000 } from './customers.migration';
export { CustomersModule } from './customers.module';
export { CustomersService, type KnownCustomer, type PaymentMethodDesk } from './customers.service';
export {
  orderShippingOf,
  OrderShippingParams,
  orderShippingSchema,
  type OrderShipping,
} from './order-shipping';
