/** Payments: payment intents, charges and payment methods. */
export { CreatePayments1764000003000 } from './payments.migration';
export { PaymentsModule } from './payments.module';
export {
  RefundableCharges,
  type RefundTarget,
  type ReservedAmount,
} from './payment-intents/refundable-charges.service';
