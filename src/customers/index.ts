/** Customers: the buyers that a merchant stores. */
export {
  type AttachOptions,
  CustomerPaymentMethods,
  type RequireAttachedOptions,
} from './customer-payment-methods';
export { CustomersModule } from './customers.module';
export { CustomersService, type CustomerSummary } from './customers.service';
export {
  orderShippingOf,
  OrderShippingParams,
  orderShippingSchema,
  type OrderShipping,
} from './order-shipping';
