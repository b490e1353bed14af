/** The pauses between the attempts of one call. */
import {
  ExponentialBackoff,
  fullJitterGenerator,
  noJitterGenerator,
  type IBackoffFactory,
} from 'cockatiel';
import type { RetryPolicy } from './retry.options';

/** The pauses of a call in ms, one for each time it is called: exponential, capped, jittered. */
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

/** @throws the signal's reason, at once when it fires */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
