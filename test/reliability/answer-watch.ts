/** What clients may see while something behind the server is away, and how soon it is back. */
import type { Sent } from './clients';
import type { Finding, World } from './world';

/** Nothing but answers, 503 with Retry-After and 409 may be seen while the database is away. */
export class AnswerWatch {
  readonly findings: Finding[] = [];
  readonly #statuses = new Map<number, number>();

  get told(): string {
    const counts = [...this.#statuses].toSorted(([a], [b]) => a - b);
    return `answers ${counts.map(([status, count]) => `${status}: ${count}`).join(', ')}`;
  }

  see({ answer, failure }: Sent): void {
    if (!answer) {
      // Clients that leave hang up by themselves.
      if (failure?.startsWith('no answer in') !== true) this.add(`a connection broke: ${failure}`);
      return;
    }
    const { status, headers, body } = answer;
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    const expected = [200, 402, 409, 503].includes(status);
    if (!expected) this.add(`a ${status}: ${body.slice(0, 200)}`);
    else if (status === 503 && headers['retry-after'] === undefined) {
      this.add('a 503 without Retry-After');
    }
  }

  private add(what: string): void {
    this.findings.push({ rule: 'answers', what });
  }
}

/**
 * When every server has served a request that is new: those under way may wait for a lease.
 *
 * @returns on the clock of `performance.now()`
 */
export async function servedAgain({ clients, urls }: World): Promise<number> {
  const patience = { allMs: 30_000 };
  await Promise.all(
    urls.map((server) => clients.insist(clients.payment(), { ...patience, server })),
  );
  return performance.now();
}
