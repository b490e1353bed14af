/** A response on its way out, before anything of it is stored. */
import { IdempotencyResponseUnstorableError } from '../contract/idempotency.errors';

export interface OutgoingResponse {
  readonly status: number;
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>;
  /** A string stands for its bytes in UTF-8. */
  readonly body: Buffer | string;
  /** Why it cannot be stored, such as `a stream` (R16). */
  readonly unstorable?: string;
}

/** @throws IdempotencyResponseUnstorableError where the response cannot be stored (R16) */
export function assertStorable(outgoing: OutgoingResponse): void {
  if (outgoing.unstorable) throw new IdempotencyResponseUnstorableError(outgoing.unstorable);
}
