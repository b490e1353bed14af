/** Sends the orders of an operation to the acquirer of the tenant's mode, each in its remote phase. */
import type { Tenant } from '../database';
import type { Phases } from '../idempotency';
import { InvalidRequestError } from '../wire';
import {
  type CardDescription,
  type Gateway,
  type KnownOutcome,
  type Orders,
  type OrderMethods,
  requireKnownOutcome,
} from './gateway';

/** The acquirers of this server. */
export class Gateways {
  /** @param testMode the acquirer of test mode */
  constructor(private readonly testMode: Gateway) {}

  /**
   * Sends an order to the acquirer. This is the remote phase of an operation, named after the order, so
   * one operation sends at most one order of a kind.
   *
   * @throws InvalidRequestError for a live tenant: no acquirer for live money is configured
   * @throws IdempotencyOutcomeUnknownError where the outcome could not be learned (R12): the client gets
   *   503, and the next attempt sends the same order under the same remote key
   */
  send<Kind extends keyof Orders>(
    kind: Kind,
    order: Orders[Kind],
    phases: Phases,
  ): Promise<KnownOutcome> {
    const gateway = this.requireFor(order.tenant);
    const methods: OrderMethods = gateway;
    return phases.remote(
      kind,
      async (key, signal) => requireKnownOutcome(await methods[kind](key, order, signal)),
      {
        dedupeWindowMs: gateway.dedupeWindowMs,
        lookUp: (key, signal) => gateway.lookUp(key, order.tenant, signal),
      },
    );
  }

  /** Describes the card behind a token. Live mode has no tokens. */
  describeCard(tenant: Tenant, token: string): CardDescription | undefined {
    return tenant.livemode ? undefined : this.testMode.describeCard(token);
  }

  /**
   * Returns the acquirer of a tenant's mode.
   * @throws InvalidRequestError for a live tenant: no acquirer for live money is configured
   */
  requireFor(tenant: Tenant): Gateway {
    if (!tenant.livemode) return this.testMode;
    throw new InvalidRequestError(
      'Live payments are not possible: this server has no acquirer for live mode. Use an API key ' +
        'that starts with sk_test_, or ask the operator to connect an acquirer.',
      { code: 'testmode_charges_only' },
    );
  }
}
