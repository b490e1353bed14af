/**
 * Load: clients that pay, are declined, capture or cancel authorised payments, refund, and sometimes leave
 * before their response.
 */
import { type Clients, intentOf, type Patience, type IntendedRequest } from './clients';
import type { Chance } from './random';

export interface LoadOptions extends Patience {
  readonly clients: number;
}

export class Load {
  readonly #stop = new AbortController();
  readonly #shoppers: Promise<void>[];

  constructor(
    private readonly clients: Clients,
    chance: Chance,
    private readonly options: LoadOptions,
  ) {
    this.#shoppers = Array.from({ length: options.clients }, () => this.shop(chance.fork()));
  }

  /** Starts no new orders, and waits for those in flight. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#shoppers);
  }

  private async shop(chance: Chance): Promise<void> {
    const { clients, options } = this;
    let paid: { readonly intended: IntendedRequest; readonly intent: string } | undefined;
    while (!this.#stop.signal.aborted) {
      const dice = chance.next();
      if (dice < 0.15 && paid) {
        await clients.retryUntilFinal(clients.refund(paid.intended, paid.intent), options);
      } else if (dice < 0.3) {
        await clients.retryUntilFinal(clients.customer(), options);
      } else if (dice < 0.36) {
        const declined = clients.payment({ payment_method: 'pm_card_chargeDeclined' });
        await clients.retryUntilFinal(declined, options);
      } else if (dice < 0.42) {
        await this.leave(clients.payment(), chance);
      } else if (dice < 0.6) {
        await this.authorise(chance);
      } else {
        const intended = clients.payment();
        const intent = intentOf(await clients.retryUntilFinal(intended, options));
        if (intent !== undefined) paid = { intended, intent };
      }
    }
  }

  /** Authorises a payment, and captures or cancels it. Some clients leave before the second response. */
  private async authorise(chance: Chance): Promise<void> {
    const { clients, options } = this;
    const authorised = clients.authorisation();
    const intent = intentOf(await clients.retryUntilFinal(authorised, options));
    if (intent === undefined) return;
    const intended = chance.happens(0.6)
      ? clients.capture(authorised, intent)
      : clients.cancellation(authorised, intent);
    if (chance.happens(0.2)) await this.leave(intended, chance);
    else await clients.retryUntilFinal(intended, options);
  }

  /** Hangs up before the response, and never retries. */
  private async leave(intended: IntendedRequest, chance: Chance): Promise<void> {
    const { clients, options } = this;
    const server = clients.anyServer();
    if (server === undefined) return;
    await clients.once(intended, server, { ...options, requestMs: chance.between(5, 300) });
  }
}
