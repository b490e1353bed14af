/** Settings with time-outs so long that a slow machine does not reach them. */

/** The longest that each setting takes, but for those that a test waits for when it ends. */
export const PATIENT = {
  DATABASE_CONNECT_TIMEOUT_MS: '60000',
  IDEMPOTENCY_REMOTE_DEADLINE_MS: '120000',
  IDEMPOTENCY_IDLE_TRANSACTION_TIMEOUT_MS: '300000',
  IDEMPOTENCY_MAX_WAIT_SECONDS: '60',
} as const;
