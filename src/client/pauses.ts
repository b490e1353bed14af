/** The pauses between the attempts of one call. */
import type { RetryPolicy } from './retry.options';

/** The pauses of a call in ms, one for each time it is called: exponential, capped, jittered. */
export function pausesOf({ jitter, baseDelayMs, maxDelayMs }: RetryPolicy): () => number {
  let retries = 0;
  return () => {
    const pauseMs = Math.min(maxDelayMs, baseDelayMs * 2 ** retries);
    retries += 1;
    return jitter === 'none' ? pauseMs : Math.floor(Math.random() * pauseMs);
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
