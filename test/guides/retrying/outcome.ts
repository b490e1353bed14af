import { ApiError, RetryError } from '../../../src/client';
import { pay } from './payment';
import type { Order } from './shop';

export type Outcome = 'paid' | 'not yet' | 'declined' | 'not charged' | 'unknown';

export async function payAndReport(order: Order): Promise<Outcome> {
  try {
    const payment = await pay(order);
    return payment.status === 'succeeded' ? 'paid' : 'not yet';
  } catch (error) {
    if (error instanceof RetryError && error.reason !== 'key-reused') {
      return error.mayHaveExecuted ? 'unknown' : 'not charged';
    }
    if (error instanceof ApiError) {
      if (error.mayHaveExecuted) return 'unknown';
      if (error.status === 429) return 'not charged';
      if (error.status === 402) return 'declined';
    }
    throw error; // an error in the program
  }
}
