/** Payments: payment intents, charges and payment methods. */
export { PaymentsModule } from './payments.module';
export {
  RefundableCharges,
  type RefundTarget,
  type ReservedAmount,
} from './payment-intents/refundable-charges.service';
