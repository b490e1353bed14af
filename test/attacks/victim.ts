/** An honest client that pays at a steady rate, whether or not its last payments succeeded. */
import { setTimeout as pause } from 'node:timers/promises';
import { Clients, type Sent } from '../reliability/clients';
import { Chance } from '../reliability/random';
import type { TestAccount } from '../support/accounts';

/** How long its payments took, ms. */
export interface Waits {
  readonly payments: number;
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
  /** What became of payments that did not succeed, with their counts. */
  readonly failures: Readonly<Record<string, number>>;
}

/** For one payment, ms: longer than any attack holds the server. */
const PATIENCE_MS = 180_000;
/** How long a rest waits for payments in flight, ms. */
const REST_MS = 2_000;

export class Victim {
  readonly #clients: Clients;
  readonly #inFlight = new Set<Promise<unknown>>();
  #rest: Promise<unknown> = Promise.resolve();

  constructor(
    account: TestAccount,
    private readonly url: string,
  ) {
    this.#clients = new Clients([account], () => [url], new Chance(1));
  }

  /** Pays every so many ms, from now until `stop`, which waits for payments in flight. */
  pay(everyMs: number): { stop: () => Promise<Waits> } {
    const over = new AbortController();
    const payments: Promise<Sent>[] = [];
    const paying = (async () => {
      let next = performance.now();
      while (!over.signal.aborted) {
        await this.#rest;
        payments.push(this.payOnce());
        next = Math.max(next + everyMs, performance.now());
        await pause(next - performance.now());
      }
    })();
    return {
      stop: async () => {
        over.abort();
        await paying;
        return waitsOf(await Promise.all(payments));
      },
    };
  }

  /**
   * Waits a while for payments in flight, and pays nothing until `work` is done: the harness blocks the server
   * meanwhile, and not the attack.
   */
  async restWhile<T>(work: () => Promise<T>): Promise<T> {
    await this.#rest;
    const patience = pause(REST_MS, undefined, { ref: false });
    const rested = Promise.race([Promise.all(this.#inFlight), patience]).then(work);
    this.#rest = rested.catch(() => undefined);
    return rested;
  }

  close(): void {
    this.#clients.close();
  }

  private payOnce(): Promise<Sent> {
    const patience = { requestMs: PATIENCE_MS };
    const sent = this.#clients.once(this.#clients.payment(), this.url, patience);
    this.#inFlight.add(sent);
    void sent.finally(() => this.#inFlight.delete(sent));
    return sent;
  }
}

function waitsOf(payments: readonly Sent[]): Waits {
  const took = payments.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
  const part = (share: number) => took[Math.ceil(share * took.length) - 1] ?? Number.NaN;
  const failures: Record<string, number> = {};
  for (const { res, failure } of payments) {
    if (res?.status === 200) continue;
    const what = failure ?? `${res?.status} ${res?.body.slice(0, 120)}`;
    failures[what] = (failures[what] ?? 0) + 1;
  }
  return { payments: took.length, p50: part(0.5), p99: part(0.99), worst: part(1), failures };
}
