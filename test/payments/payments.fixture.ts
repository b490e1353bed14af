/** One running application for a file of tests of payments or refunds, the official SDK, and the acquirer behind it. */
import Stripe from 'stripe';
import { AccountsService } from '../../src/accounts';
import { type InProcessGateway, SandboxGateway } from '../../src/gateway';
import { type RunningApp, startApp } from '../support/app';

export let app: RunningApp;
/** Repeats a request that failed, as the SDK does by default. */
export let stripe: Stripe;
/** Sees every response: the SDK would repeat one with a 409 or a 500. */
export let once: Stripe;
export let acquirer: InProcessGateway;

/** To be called once in a test file. */
export function startOneApplication(): void {
  beforeAll(async () => {
    app = await startApp({ env: { LOG_LEVEL: 'silent' } });
    stripe = app.stripe();
    once = app.stripe({ maxNetworkRetries: 0 });
    acquirer = app.app.get<SandboxGateway, InProcessGateway>(SandboxGateway);
  });
  afterAll(() => app.close());
}

export const USD = { amount: 2000, currency: 'usd' };

/** A payment that is confirmed at once. */
export function pay(change: Partial<Stripe.PaymentIntentCreateParams> = {}) {
  return stripe.paymentIntents.create({
    ...USD,
    payment_method: 'pm_card_visa',
    confirm: true,
    ...change,
  });
}

/** The acquirer does it the next time, and the reply is lost on the way back. */
export function loseReply(kind: 'charge' | 'capture' | 'cancel' | 'refund'): void {
  const real = acquirer[kind].bind(acquirer) as (...order: unknown[]) => Promise<never>;
  jest.spyOn(acquirer, kind).mockImplementationOnce(async (...order: unknown[]) => {
    await real(...order);
    throw new Error('the reply was lost');
  });
}

/** The error a call ends with, as the SDK throws it. */
export async function refusal(call: Promise<unknown>): Promise<Stripe.errors.StripeError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Stripe.errors.StripeError) return error;
  throw new Error(`not refused: ${String(error)}`);
}

/** The account behind the application's key, as the acquirer knows its merchant. */
export async function accountOf(running: RunningApp): Promise<string> {
  const principal = await running.app.get(AccountsService).authenticate(running.apiKey);
  if (!principal) throw new Error('the key of the test is not valid');
  return principal.account;
}
