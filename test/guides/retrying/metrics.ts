import { createRetryingFetch, type RetryReason } from '../../../src/client';

export const retries = new Map<RetryReason, number>();

export const send = createRetryingFetch({
  onRetry: ({ attempt, reason, pauseMs, method, url, idempotencyKey, status }) => {
    retries.set(reason, (retries.get(reason) ?? 0) + 1);
    console.warn({ attempt, reason, pauseMs, method, url, idempotencyKey, status });
  },
});
