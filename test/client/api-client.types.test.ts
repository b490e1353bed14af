/**
 * What the compiler refuses. `npm run typecheck` is the test: an error that is expected and does not
 * come is an error.
 */
import { type Charge, createClient, type Customer, type PaymentIntent } from '../../src/client';

const client = createClient({ baseUrl: 'http://127.0.0.1:1', apiKey: 'sk_test_x' });
const order = { amount: 2000, currency: 'usd' };

/** Never called. */
export async function refusedByTheCompiler(): Promise<void> {
  // @ts-expect-error an amount is required
  await client.payments.create({ currency: 'usd' });
  // @ts-expect-error an amount is a number
  await client.payments.create({ amount: '2000', currency: 'usd' });
  // @ts-expect-error a slip in a parameter's name
  await client.payments.create({ amount: 2000, currency: 'usd', paymnet_method: 'pm_card_visa' });
  // @ts-expect-error one of a few strings
  await client.payments.create({ ...order, capture_method: 'later' });
  // @ts-expect-error nested parameters too
  await client.customers.create({ address: { town: 'London' } });
  // @ts-expect-error this one cannot be unset
  await client.payments.update('pi_1', { payment_method: null });
  // @ts-expect-error an id is required
  await client.payments.retrieve();
  // @ts-expect-error a list has filters of its own
  await client.payments.list({ email: 'ada@example.com' });
  // @ts-expect-error a customer is required
  await client.paymentMethods.attach('pm_card_visa', {});
  // @ts-expect-error an option's name
  await client.payments.create(order, { idempotencykey: 'order-1' });
  // @ts-expect-error an API key is required
  createClient({ baseUrl: 'http://127.0.0.1:1' });

  const payment = await client.payments.create(order);
  // @ts-expect-error no status of a payment
  if (payment.status === 'paid') return;
  // @ts-expect-error no field of a payment
  console.log(payment.total);
  // @ts-expect-error it may be null, or an object where it was expanded
  payment.customer.toUpperCase();
}

/** Never called either: all of this compiles. */
export async function acceptedByTheCompiler(): Promise<void> {
  const payment: PaymentIntent = await client.payments.create(
    { ...order, customer: 'cus_1', description: null, metadata: { order: '1' }, off_session: true },
    { idempotencyKey: 'order-1', signal: AbortSignal.timeout(1000) },
  );
  const status:
    | 'requires_payment_method'
    | 'requires_confirmation'
    | 'requires_action'
    | 'processing'
    | 'requires_capture'
    | 'succeeded'
    | 'canceled' = payment.status;
  const charge: string | Charge | null = payment.latest_charge;
  const customer = await client.customers.retrieve('cus_1');
  const name = 'deleted' in customer ? null : customer.name;
  const page: readonly Customer[] = (await client.customers.list({ limit: 3, created: { gte: 1 } }))
    .data;
  for await (const { id, amount } of client.refunds.list()) console.log(id, amount);
  console.log(status, charge, name, page);
}

it('the types are held to by the compiler', () => {
  expect([refusedByTheCompiler, acceptedByTheCompiler]).toHaveLength(2);
});
