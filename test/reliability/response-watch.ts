/** Checks what clients see during an outage behind the server, and how soon requests are served again. */
import type { Sent } from './clients';
import type { Finding, Testbed } from './testbed';

/** Clients may see 200, 402, 409, and 503 with Retry-After, each in time. */
export class ResponseWatch {
  readonly findings: Finding[] = [];
  readonly #statuses = new Map<number, number>();
  #slowestMs = 0;

  /** @param boundMs the longest time a request may take, ms */
  constructor(private readonly boundMs = Infinity) {}

  /** Counts and times for the report, in words. */
  get notes(): string[] {
    const counts = [...this.#statuses].toSorted(([a], [b]) => a - b);
    const statuses = `answers ${counts.map(([status, count]) => `${status}: ${count}`).join(', ')}`;
    const slowest = `slowest request ${Math.round(this.#slowestMs)} ms of ${this.boundMs} allowed`;
    return Number.isFinite(this.boundMs) ? [slowest, statuses] : [statuses];
  }

  see({ res, failure, tookMs }: Sent): void {
    this.#slowestMs = Math.max(this.#slowestMs, tookMs);
    if (tookMs > this.boundMs) this.add('deadline', `a request took ${Math.round(tookMs)} ms`);
    if (!res) {
      // Clients that leave hang up by themselves.
      if (failure?.startsWith('no response in') !== true) {
        this.add('answers', `a connection broke: ${failure}`);
      }
      return;
    }
    const { status, headers, body } = res;
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    const expected = [200, 402, 409, 503].includes(status);
    if (!expected) this.add('answers', `a ${status}: ${body.slice(0, 200)}`);
    else if (status === 503 && headers['retry-after'] === undefined) {
      this.add('answers', 'a 503 without Retry-After');
    }
  }

  private add(rule: Finding['rule'], what: string): void {
    this.findings.push({ rule, what });
  }
}

/**
 * Waits until every server has served a new request. (Requests in flight may have to wait for a lease.)
 *
 * @param allMs the longest wait, ms
 * @returns when, on the clock of `performance.now()`
 */
export async function servedAgain({ clients, urls }: Testbed, allMs = 30_000): Promise<number> {
  const patience = { allMs, requestMs: allMs };
  await Promise.all(
    urls.map((server) => clients.retryUntilFinal(clients.payment(), { ...patience, server })),
  );
  return performance.now();
}
