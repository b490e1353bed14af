/**
 * Finishes a pending response on Express: every way to respond there ends in Node's `res.end`. What was
 * written before it is buffered.
 */
import type { ServerResponse } from 'node:http';
import type { OutgoingResponse } from '../attempts/outgoing-response';
import type { FinalResponse } from './finishing';
import { DESCRIBES_BODY, type PendingResponse } from './pending-response';

/** RFC 9110, 8.6: these statuses have no body and no `Content-Length`. */
const WITHOUT_BODY = new Set([204, 304]);

/** Holds this response until it is finished. */
export function holdExpressResponse(pending: PendingResponse, res: ServerResponse): void {
  // Internals: response-end
  const write = res.write.bind(res);
  const end = res.end.bind(res);
  const chunks: Buffer[] = [];
  const buffer = (chunk: unknown, encoding?: unknown) => {
    if (chunk === undefined || chunk === null || typeof chunk === 'function') return;
    chunks.push(
      typeof chunk === 'string'
        ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
        : Buffer.from(chunk as Uint8Array),
    );
  };
  res.write = ((chunk: unknown, encoding?: unknown) => {
    buffer(chunk, encoding);
    return true;
  }) as typeof res.write;
  res.end = ((chunk?: unknown, encoding?: unknown) => {
    buffer(chunk, encoding);
    Object.assign(res, { write, end });
    const body = Buffer.concat(chunks);
    const outgoing: OutgoingResponse = {
      status: res.statusCode,
      headers: res.getHeaders(),
      body,
      unstorable: res.headersSent ? 'a stream' : undefined,
    };
    void Promise.resolve(pending.finish(() => outgoing)).then(
      (final) => send(res, body, final),
      (error: Error) => res.destroy(error),
    );
    return res;
  }) as typeof res.end;
}

function send(res: ServerResponse, payload: Buffer, final: FinalResponse): void {
  if (res.headersSent) return void res.end(payload);
  if ('instead' in final) {
    for (const name of res.getHeaderNames()) {
      if (DESCRIBES_BODY.test(name)) res.removeHeader(name);
    }
    res.statusCode = final.instead.status;
  }
  const { headers, body } =
    'instead' in final ? final.instead : { headers: final.with, body: payload };
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (!WITHOUT_BODY.has(res.statusCode)) {
    res.setHeader('content-length', Buffer.byteLength(body));
  }
  res.end(body);
}
