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

/** Whether NestJS would send this value piece by piece, so that it cannot be stored (R16). */
export function isStream(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { pipe, getStream, getReader } = value as Record<string, unknown>;
  return (
    typeof pipe === 'function' ||
    typeof getStream === 'function' ||
    typeof getReader === 'function' ||
    Symbol.asyncIterator in value ||
    value instanceof Response
  );
}
