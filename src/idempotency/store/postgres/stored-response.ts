/** A stored response as columns of its row. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { StoredResponse } from '../../contract/idempotency.options';

export interface ResponseColumns {
  /** Null while unfinished, like `body`. */
  status: number | null;
  /** Null where there is only the usual `Content-Type`. */
  headers: Record<string, string> | null;
  body: Buffer | null;
  /** Whether `body` is deflated (RFC 1951). */
  deflated: boolean;
}

/**
 * Bodies from this size on are deflated: smaller ones gain little. Larger ones than the maximum PostgreSQL
 * compresses itself.
 */
const MIN_DEFLATED_BYTES = 1_024;
const MAX_DEFLATED_BYTES = 65_536;
/** A body is stored deflated below this share of its size: a payment's 1,170 bytes become 527 in 12 µs. */
const MAX_DEFLATED_RATIO = 0.75;

/** Nearly every response has this one header to store, so a row without headers stands for it. */
const USUAL_TYPE = 'application/json; charset=utf-8';
const USUAL_HEADERS = Object.freeze({ 'content-type': USUAL_TYPE });

/** Status, headers, body, and whether that is deflated: values of a statement, in this order. */
export function toResponseColumns({ status, headers, body }: StoredResponse): unknown[] {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const columns = [status, toHeadersColumn(headers)];
  const { length } = bytes;
  if (length < MIN_DEFLATED_BYTES || length > MAX_DEFLATED_BYTES || headers['content-encoding']) {
    return [...columns, bytes, 'false'];
  }
  const deflated = deflateRawSync(bytes);
  return deflated.length < length * MAX_DEFLATED_RATIO
    ? [...columns, deflated, 'true']
    : [...columns, bytes, 'false'];
}

/** Nothing for the columns of an unfinished row. */
export function toStoredResponse({
  status,
  headers,
  body,
  deflated,
}: ResponseColumns): StoredResponse | undefined {
  if (status === null || !body) return undefined;
  return {
    status,
    headers: headers ?? USUAL_HEADERS,
    body: deflated ? inflateRawSync(body) : body,
  };
}

function toHeadersColumn(headers: StoredResponse['headers']): string | null {
  const usual = headers['content-type'] === USUAL_TYPE && Object.keys(headers).length === 1;
  return usual ? null : JSON.stringify(headers);
}
