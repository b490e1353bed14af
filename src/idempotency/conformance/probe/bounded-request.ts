/** One HTTP request of the conformance kit: headers exactly as given, bounded in time and size. */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

/** Largest body of a response, in bytes. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

export interface OutgoingRequest {
  readonly url: URL;
  readonly method: string;
  /** A list sends the header once for each value. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | undefined;
  /** How long the whole response may take, in ms. */
  readonly timeoutMs: number;
  /** Ends the request early. */
  readonly signal: AbortSignal;
}

/** What the server sent. Names of headers are in small letters. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

/** The server sent no complete response. */
export class NoReplyError extends Error {
  override readonly name = 'NoReplyError';
}

/**
 * Sends a request on a connection of its own and follows no redirect.
 *
 * @throws NoReplyError with a sentence, also after `timeoutMs` and on `signal`
 */
export function sendBounded(outgoing: OutgoingRequest): Promise<Reply> {
  const { url, method, headers, body, timeoutMs, signal } = outgoing;
  const open = url.protocol === 'https:' ? requestHttps : requestHttp;
  const timeout = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const why = timeout.aborted ? `took longer than ${timeoutMs} ms` : `failed: ${error.message}`;
      reject(new NoReplyError(`${method} ${url.pathname} ${why}.`));
    };
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const sent = open(url, {
      method,
      headers: { ...length, ...headers },
      agent: false,
      signal: AbortSignal.any([timeout, signal]),
    });
    sent.once('error', fail);
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.once('error', fail);
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > MAX_BODY_BYTES) response.destroy(new Error(`more than ${MAX_BODY_BYTES} bytes`));
      });
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(
            Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
          ),
          body: Buffer.concat(chunks),
        }),
      );
    });
    sent.end(body);
  });
}
