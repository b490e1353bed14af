/**
 * Clients that buy, are declined, capture what they authorised or release it, pay back, and sometimes
 * leave in the middle, until told to stop.
 */
import { type Clients, intentOf, type Patience, type Wish } from './clients';
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

  /** No new orders; those under way come to their end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#shoppers);
  }

  private async shop(chance: Chance): Promise<void> {
    const { clients, options } = this;
    let paid: { readonly wish: Wish; readonly intent: string } | undefined;
    while (!this.#stop.signal.aborted) {
      const dice = chance.next();
      if (dice < 0.15 && paid) {
        await clients.insist(clients.refund(paid.wish, paid.intent), options);
      } else if (dice < 0.3) {
        await clients.insist(clients.customer(), options);
      } else if (dice < 0.36) {
        const declined = clients.payment({ payment_method: 'pm_card_chargeDeclined' });
        await clients.insist(declined, options);
      } else if (dice < 0.42) {
        await this.leave(clients.payment(), chance);
      } else if (dice < 0.6) {
        await this.authorise(chance);
      } else {
        const wish = clients.payment();
        const intent = intentOf(await clients.insist(wish, options));
        if (intent !== undefined) paid = { wish, intent };
      }
    }
  }

  /** And captures it, or releases it; some clients do not wait for that. */
  private async authorise(chance: Chance): Promise<void> {
    const { clients, options } = this;
    const authorised = clients.authorisation();
    const intent = intentOf(await clients.insist(authorised, options));
    if (intent === undefined) return;
    const wish = chance.happens(0.6)
      ? clients.capture(authorised, intent)
      : clients.cancellation(authorised, intent);
    if (chance.happens(0.2)) await this.leave(wish, chance);
    else await clients.insist(wish, options);
  }

  /** Hangs up before the answer, and never comes back. */
  private async leave(wish: Wish, chance: Chance): Promise<void> {
    const { clients, options } = this;
    const server = clients.anyServer();
    if (server === undefined) return;
    await clients.once(wish, server, { ...options, requestMs: chance.between(5, 300) });
  }
}
