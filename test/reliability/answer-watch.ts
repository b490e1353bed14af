/** What clients may see while something behind the server is away, and how soon it is back. */
import type { Sent } from './clients';
import type { Finding, World } from './world';

/** Nothing but answers, 503 with Retry-After and 409 may be seen, and each in time. */
export class AnswerWatch {
  readonly findings: Finding[] = [];
  readonly #statuses = new Map<number, number>();
  #slowestMs = 0;

  /** @param boundMs the longest a request may take, its grace included */
  constructor(private readonly boundMs = Infinity) {}

  /** What was seen, in words. */
  get told(): string[] {
    const counts = [...this.#statuses].toSorted(([a], [b]) => a - b);
    const answers = `answers ${counts.map(([status, count]) => `${status}: ${count}`).join(', ')}`;
    const slowest = `slowest request ${Math.round(this.#slowestMs)} ms of ${this.boundMs} allowed`;
    return Number.isFinite(this.boundMs) ? [slowest, answers] : [answers];
  }

  see({ answer, failure, tookMs }: Sent): void {
    this.#slowestMs = Math.max(this.#slowestMs, tookMs);
    if (tookMs > this.boundMs) this.add('deadline', `a request took ${Math.round(tookMs)} ms`);
    if (!answer) {
      // Clients that leave hang up by themselves.
      if (failure?.startsWith('no answer in') !== true) {
        this.add('answers', `a connection broke: ${failure}`);
      }
      return;
    }
    const { status, headers, body } = answer;
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
 * When every server has served a request that is new: those under way may wait for a lease.
 *
 * @param allMs after which it is not waited for any longer
 * @returns on the clock of `performance.now()`
 */
export async function servedAgain({ clients, urls }: World, allMs = 30_000): Promise<number> {
  const patience = { allMs, requestMs: allMs };
  await Promise.all(
    urls.map((server) => clients.insist(clients.payment(), { ...patience, server })),
  );
  return performance.now();
}
