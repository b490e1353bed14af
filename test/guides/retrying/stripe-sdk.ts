import Stripe from 'stripe';
import { createRetryingFetch } from '../../../src/client';
import type { Order } from './shop';

const payments = new URL(process.env.PAYMENTS_URL ?? 'http://127.0.0.1:3000');
const stripe = new Stripe(process.env.PAYMENTS_KEY ?? '', {
  host: payments.hostname,
  port: payments.port,
  protocol: 'http',
  httpClient: Stripe.createFetchHttpClient(createRetryingFetch()),
  maxNetworkRetries: 0, // the fetch below it retries
});

export function pay(order: Order): Promise<Stripe.PaymentIntent> {
  return stripe.paymentIntents.create(
    { amount: order.amount, currency: 'usd', payment_method: order.paymentMethod, confirm: true },
    { idempotencyKey: `order-${order.id}` },
  );
}
