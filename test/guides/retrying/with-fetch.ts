import { createRetryingFetch } from '../../../src/client';
import type { Order } from './shop';

const { PAYMENTS_URL, PAYMENTS_KEY } = process.env;
const send = createRetryingFetch();

export function pay(order: Order): Promise<Response> {
  return send(`${PAYMENTS_URL}/v1/payment_intents`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${PAYMENTS_KEY}`,
      'Idempotency-Key': `order-${order.id}`,
    },
    body: new URLSearchParams({
      amount: String(order.amount),
      currency: 'usd',
      payment_method: order.paymentMethod,
      confirm: 'true',
    }),
  });
}
