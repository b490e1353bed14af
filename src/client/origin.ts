/** What a client knows about one origin: how many retries it may still get, and whether to leave it alone. */
import {
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  fullJitterGenerator,
  halfJitterGenerator,
  handleWhen,
  noJitterGenerator,
  type CircuitBreakerPolicy,
  type IBackoffFactory,
} from 'cockatiel';
import { saysThatTheOriginFails, type Outcome } from './attempt';
import { RetryBudget } from './retry.budget';
import type { RetryPolicy } from './retry.options';

export class Origin {
  readonly budget?: RetryBudget;
  private readonly circuit?: CircuitBreakerPolicy;

  constructor({ budget, breaker, jitter }: RetryPolicy) {
    if (budget) this.budget = new RetryBudget(budget.capacity, budget.earnPerSuccess);
    if (!breaker) return;
    const { failures, probeAfterMs } = breaker;
    const generator = jitter === 'none' ? noJitterGenerator : halfJitterGenerator;
    const backoff = { generator, initialDelay: probeAfterMs, maxDelay: probeAfterMs };
    // What is thrown is the caller's abort, which tells nothing about the origin, except that a probe
    // which ended so has not shown that the origin is back.
    const failed = handleWhen(() => this.circuit?.state === CircuitState.HalfOpen);
    this.circuit = circuitBreaker(
      failed.orWhenResult((outcome) => saysThatTheOriginFails(outcome as Outcome)),
      {
        breaker: new ConsecutiveBreaker(failures),
        halfOpenAfter: new ExponentialBackoff(backoff),
      },
    );
  }

  /** Whether an attempt that has just failed need not wait for another: it would not be sent. */
  get isLeftAlone(): boolean {
    return this.circuit?.state === CircuitState.Open;
  }

  /**
   * Runs an attempt, or does not because the circuit is open.
   *
   * @returns undefined where it was not run
   */
  async run(attempt: () => Promise<Outcome>): Promise<Outcome | undefined> {
    const { circuit } = this;
    if (!circuit) return attempt();
    // cockatiel holds calls back while a probe is under way and lets all of them go at once when it
    // succeeds. A payment should rather hear at once.
    if (circuit.state === CircuitState.HalfOpen) return undefined;
    let ran = false;
    try {
      return await circuit.execute(() => {
        ran = true;
        return attempt();
      });
    } catch (error) {
      if (!ran) return undefined; // BrokenCircuitError
      throw error;
    }
  }
}

/** The pauses of one call, one after the other: exponential, capped, jittered. */
export function pausesOf({ jitter, baseDelayMs, maxDelayMs }: RetryPolicy): () => number {
  const generator = jitter === 'none' ? noJitterGenerator : fullJitterGenerator;
  const options = { generator, initialDelay: baseDelayMs, maxDelay: maxDelayMs, exponent: 2 };
  let backoff: IBackoffFactory<unknown> = new ExponentialBackoff(options);
  return () => {
    const next = backoff.next(undefined);
    backoff = next;
    return next.duration;
  };
}
