/** Whether the body of a request was sent, and whether it was read before the key is (R7a). */
import type { IncomingMessage } from 'node:http';
import type { HttpRequest } from '../contract/idempotency.options';

/** `none`: nothing was sent, or a body without a byte. */
export type BodyState = 'none' | 'read' | 'unread';

/** Node's request under HTTP/1, or under HTTP/2, where headers need not say whether a body follows. */
type NodeRequest = IncomingMessage & { readonly stream?: { readonly endAfterHeaders?: boolean } };

/**
 * What parsers left in `body` does not tell: Express leaves `{}` or nothing whether or not there was a body.
 *
 * @returns a promise where only the first byte, or the end, can tell; the byte stays for others to read
 */
export function bodyStateOf(http: HttpRequest): BodyState | Promise<BodyState> {
  const request = nodeRequestOf(http);
  // A stand-in for a request, which has its body already.
  if (typeof request.readableDidRead !== 'boolean')
    return http.body === undefined ? 'none' : 'read';
  if (request.readableDidRead) return 'read';
  const { 'content-length': length, 'transfer-encoding': encoding } = http.headers;
  const hasLength = Number(length) > 0;
  if (hasLength) return request.readableEnded ? 'read' : 'unread';
  const mayFollow = encoding !== undefined || request.stream?.endAfterHeaders === false;
  if (!mayFollow || request.readableEnded) return 'none';
  if (request.destroyed) return 'unread';
  return firstByteOrEnd(request);
}

/** Reads the rest of a body that nobody wants, so that the connection can take the next request. */
export function discardBody(http: HttpRequest): void {
  const request = nodeRequestOf(http);
  if (typeof request.resume === 'function') request.resume();
}

const nodeRequestOf = (http: HttpRequest): NodeRequest =>
  (http.raw ?? http) as unknown as NodeRequest;

function firstByteOrEnd(request: NodeRequest): Promise<BodyState> {
  // To listen for `readable` would stop a stream that somebody lets flow.
  const arrival = request.readableFlowing ? 'data' : 'readable';
  return new Promise((resolve) => {
    const settle = (state: BodyState) => {
      request.off(arrival, onArrival).off('end', onEnd).off('close', onClose).off('error', onClose);
      resolve(state);
    };
    const onArrival = () => {
      if (arrival === 'data' || request.readableLength > 0) settle('unread');
      else request.read(); // the end, which is announced when it is read
    };
    const onEnd = () => settle('none');
    const onClose = () => settle('unread');
    request.on(arrival, onArrival).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}
