/** Refunds: money that goes back. */
export { CreateRefunds1764000004000 } from './refunds.migration';
export { RefundsModule } from './refunds.module';
