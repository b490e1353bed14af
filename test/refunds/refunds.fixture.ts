/** Payments to refund. */
import type Stripe from 'stripe';
import { pay, stripe } from '../payments/payments.fixture';

export const charged = (amount = 1000) => stripe.charges.create({ amount, currency: 'usd' });

export const paid = (change: Partial<Stripe.PaymentIntentCreateParams> = {}) =>
  pay({ amount: 1000, ...change });
