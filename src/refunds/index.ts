/** Refunds: money that goes back. */
export { RefundsModule } from './refunds.module';
