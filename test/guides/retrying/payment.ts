import { createClient } from '../../../src/client';
import type { Order } from './shop';

// One client for the whole process: every call adds to its budget and its breaker.
export const client = createClient({
  baseUrl: process.env.PAYMENTS_URL ?? 'http://127.0.0.1:3000',
  apiKey: process.env.PAYMENTS_KEY ?? '',
});

export function pay(order: Order) {
  return client.payments.create(
    { amount: order.amount, currency: 'usd', payment_method: order.paymentMethod, confirm: true },
    { idempotencyKey: `order-${order.id}` },
  );
}
