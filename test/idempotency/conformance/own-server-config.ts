/** What the conformance kit is told about our own server: payment intents of /v1. */

const paymentIntent = (parameters: string) => `amount=2000&currency=usd${parameters}`;

/** How long the server's SANDBOX_LATENCY_MS must be, so that a copy arrives while a payment is made. */
export const SLOW_SANDBOX_MS = 2_000;

/** @param otherKey an API key of another account than `apiKey`'s */
export function ownServerConfig(apiKey: string, otherKey: string): object {
  return {
    path: '/v1/payment_intents',
    body: paymentIntent(''),
    otherBody: paymentIntent('&description=another'),
    headers: {
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    effects: { count: { path: '/v1/payment_intents?limit=100', at: '/data' } },
    keyRequired: true,
    slow: { body: paymentIntent('&payment_method=pm_card_visa&confirm=true') },
    refused: { body: paymentIntent('&payment_method=pm_card_chargeDeclined&confirm=true') },
    invalid: { body: 'amount=-1&currency=usd' },
    otherAccount: { authorization: `Bearer ${otherKey}` },
    timeoutMs: 60_000,
  };
}
