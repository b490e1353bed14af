/** Clients that buy, are declined, pay back, and sometimes leave in the middle, until told to stop. */
import type { Clients, Patience, Wish } from './clients';
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
        await this.leave(chance);
      } else {
        const wish = clients.payment();
        const answer = await clients.insist(wish, options);
        if (answer?.status === 200) {
          paid = { wish, intent: (JSON.parse(answer.body) as { id: string }).id };
        }
      }
    }
  }

  /** Hangs up before the answer, and never comes back. */
  private async leave(chance: Chance): Promise<void> {
    const { clients, options } = this;
    const server = clients.anyServer();
    if (server === undefined) return;
    await clients.once(clients.payment(), server, {
      ...options,
      requestMs: chance.between(5, 300),
    });
  }
}
