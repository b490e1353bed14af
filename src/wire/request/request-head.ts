/** Checks on the head of a request: everything that can be refused before its body is read. */
import type { FastifyRequest } from 'fastify';
import { InvalidRequestError, excerpt } from '../errors/api.errors';
import { isSafeText, refuseCardNumberInPath } from './harmless-values';
import { readQuery } from './request-reader';
import type { RouteTable } from './route-table';

/** Most headers of a request. Node reads them all; what it might drop could be the key. */
const MAX_HEADERS = 200;

/** The number of headers, Host (RFC 9112, 3.2) and Expect (RFC 9110, 10.1.1). */
export function checkHead({ raw, headers }: FastifyRequest): void {
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

/** The query as parameters, under the same rules as a body; ids in the path must be storable. */
export function readUrl(request: FastifyRequest, routes: RouteTable): void {
  const mark = request.url.indexOf('?');
  request.query = mark < 0 ? {} : readQuery(request.url.slice(mark + 1));
  if (request.is404) throw routes.unknown(request);
  refuseQuery(request);
  const params = (request.params ?? {}) as Record<string, string>;
  if (params['id'] === 'search') throw searchRefused(request);
  if (!Object.values(params).every(isSafeText)) {
    throw new InvalidRequestError('The URL holds a character no id has. Check the id.', {}, 404);
  }
  refuseCardNumberInPath(params);
}

/** Only what reads has a query: one that changes something has its parameters in its body. */
function refuseQuery({ method, query }: FastifyRequest): void {
  const [name] = Object.keys(query as Record<string, unknown>);
  if (name === undefined || method === 'GET' || method === 'HEAD') return;
  const param = name.slice(0, 100);
  throw new InvalidRequestError(
    `Received unknown parameter in the URL: ${param}. Parameters of a ${method} stand in its body, ` +
      'and this request was not carried out.',
    { code: 'parameter_unknown', param },
  );
}

/** `search` is no id: a client that asks for it must not hear that an object is missing. */
function searchRefused({ method, url }: FastifyRequest): InvalidRequestError {
  const path = url.split('?', 1)[0] ?? '';
  const list = path.slice(0, path.lastIndexOf('/'));
  return new InvalidRequestError(
    `Unrecognized request URL (${method}: ${excerpt(path)}). Search is not offered: list with GET ` +
      `${excerpt(list)} and its filters instead.`,
    {},
    404,
  );
}
