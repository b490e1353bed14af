/** What the tests of payments and refunds ask of the running application beside the SDK's calls. */
import Stripe from 'stripe';
import { AccountsService } from '../../src/accounts';
import type { RunningApp } from '../support/app';

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
export async function accountOf(app: RunningApp): Promise<string> {
  const principal = await app.app.get(AccountsService).authenticate(app.apiKey);
  if (!principal) throw new Error('the key of the test is not valid');
  return principal.account;
}
