/** What is refused by the head of a request, before its body is read. */
import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import { InvalidRequestError, excerpt } from '../errors/api.errors';
import { isSafeText, requireNoCardNumberInPath } from './harmless-values';
import { readQuery } from './request-reader';
import type { RouteTable } from './route-table';

/** Node would drop headers past a limit of its own, and the idempotency key could be among them. */
const MAX_HEADERS = 200;

/** Authenticates a request by its head. Throws or rejects with the error that becomes the response. */
export type Authenticate = (request: FastifyRequest) => Promise<void> | undefined;

/** The `onRequest` hook: refuses everything that can be refused without the body. */
export function refuseByHead(
  routes: RouteTable,
  authenticate?: Authenticate,
): onRequestHookHandler {
  return (request, _reply, done) => {
    try {
      checkHead(request);
      const authenticated = authenticate?.(request);
      if (authenticated) {
        authenticated.then(() => readUrl(request, routes)).then(() => done(), done);
        return;
      }
      readUrl(request, routes);
    } catch (error) {
      return done(error as Error);
    }
    done();
  };
}

/**
 * Checks the number of headers, Host (RFC 9112, 3.2) and Expect (RFC 9110, 10.1.1).
 *
 * @throws InvalidRequestError (400, 417, 431)
 */
function checkHead({ raw, headers }: FastifyRequest): void {
  const count = raw.rawHeaders.length / 2;
  if (count > MAX_HEADERS) {
    throw new InvalidRequestError(
      `This request has ${count} headers; at most ${MAX_HEADERS} are accepted. Send fewer.`,
      {},
      431,
    );
  }
  if (raw.httpVersion === '1.0') return;
  if (headers.host === undefined) {
    throw new InvalidRequestError('This request has no Host header. HTTP/1.1 asks for one.');
  }
  if (headers.expect === undefined || /^100-continue$/i.test(headers.expect)) return;
  throw new InvalidRequestError(
    `Expect: ${excerpt(headers.expect)} cannot be met. Send 100-continue, or leave the header out.`,
    {},
    417,
  );
}

/**
 * Reads the query into parameters, under the same rules as a body, and checks the path.
 *
 * @throws InvalidRequestError (400, 404)
 */
function readUrl(request: FastifyRequest, routes: RouteTable): void {
  const mark = request.url.indexOf('?');
  request.query = mark < 0 ? {} : readQuery(request.url.slice(mark + 1));
  if (request.is404) throw routes.unknownRouteError(request);
  requireNoQueryOnWrites(request);
  const params = (request.params ?? {}) as Record<string, string>;
  if (params['id'] === 'search') throw searchError(request);
  if (!Object.values(params).every(isSafeText)) {
    throw new InvalidRequestError('The URL holds a character no id has. Check the id.', {}, 404);
  }
  requireNoCardNumberInPath(params);
}

/** Only a GET has parameters in its query. Other methods have them in the body. */
function requireNoQueryOnWrites({ method, query }: FastifyRequest): void {
  const [name] = Object.keys(query as Record<string, unknown>);
  if (name === undefined || method === 'GET' || method === 'HEAD') return;
  const param = name.slice(0, 100);
  throw new InvalidRequestError(
    `Received unknown parameter in the URL: ${param}. Parameters of a ${method} stand in its body, ` +
      'and this request was not carried out.',
    { code: 'parameter_unknown', param },
  );
}

/** `search` is not an id, so "no such object" would mislead a client of Stripe's search. */
function searchError({ method, url }: FastifyRequest): InvalidRequestError {
  const path = url.split('?', 1)[0] ?? '';
  const list = path.slice(0, path.lastIndexOf('/'));
  return new InvalidRequestError(
    `Unrecognized request URL (${method}: ${excerpt(path)}). Search is not offered: list with GET ` +
      `${excerpt(list)} and its filters instead.`,
    {},
    404,
  );
}
