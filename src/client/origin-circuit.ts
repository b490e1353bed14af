/** The retry budget and the circuit breaker of one origin. */
import {
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  halfJitterGenerator,
  handleWhen,
  noJitterGenerator,
  type CircuitBreakerPolicy,
} from 'cockatiel';
import { isOriginFailure, type Outcome } from './attempt';
import { RetryBudget } from './retry-budget';
import type { RetryPolicy } from './retry.options';

/** What all calls of a client to one origin share. */
export class OriginCircuit {
  readonly budget?: RetryBudget;
  private readonly circuit?: CircuitBreakerPolicy;

  constructor({ budget, breaker, jitter }: RetryPolicy) {
    if (budget) this.budget = new RetryBudget(budget.capacity, budget.earnPerSuccess);
    if (!breaker) return;
    const { failures, probeAfterMs } = breaker;
    const generator = jitter === 'none' ? noJitterGenerator : halfJitterGenerator;
    const backoff = { generator, initialDelay: probeAfterMs, maxDelay: probeAfterMs };
    // An attempt throws only for the caller's abort. That says nothing about the origin, but an aborted
    // probe has not shown that the origin is back.
    const abortedProbe = handleWhen(() => this.circuit?.state === CircuitState.HalfOpen);
    this.circuit = circuitBreaker(
      abortedProbe.orWhenResult((outcome) => isOriginFailure(outcome as Outcome)),
      {
        breaker: new ConsecutiveBreaker(failures),
        halfOpenAfter: new ExponentialBackoff(backoff),
      },
    );
  }

  /** Whether the circuit is open, so that no attempt would be sent. */
  get isOpen(): boolean {
    return this.circuit?.state === CircuitState.Open;
  }

  /**
   * Runs an attempt unless the circuit is open.
   *
   * @returns undefined where the attempt was not run
   */
  async run(attempt: () => Promise<Outcome>): Promise<Outcome | undefined> {
    const { circuit } = this;
    if (!circuit) return attempt();
    // While a probe runs, cockatiel queues all other calls and releases them together afterwards. A payment
    // should rather fail at once.
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
