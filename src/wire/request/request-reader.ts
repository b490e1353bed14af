/** Reads the bytes of a body or query into a hash of well-formed, harmless values, or refuses them. */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { InvalidRequestError, excerpt } from '../errors/api.errors';
import { parseForm } from './form-body';
import { requireHarmless } from './harmless-values';
import { parseJson } from './json-body';

/** The body parser for Fastify. */
export function parseBody(
  { headers }: FastifyRequest,
  body: Buffer,
  done: (error: Error | null, parameters?: Record<string, unknown>) => void,
): void {
  let parameters;
  try {
    parameters = readBody(body, headers);
  } catch (error) {
    return done(error as Error);
  }
  done(null, parameters);
}

/**
 * The parameters in a body.
 *
 * @param headers of the request; `content-type` and `content-encoding` are read
 * @throws InvalidRequestError (400; 415 for an unsupported type, charset or encoding)
 */
export function readBody(body: Buffer, headers: IncomingHttpHeaders): Record<string, unknown> {
  if (body.length === 0) return {};
  requireNoEncoding(headers['content-encoding']);
  const [type = '', ...attributes] = (headers['content-type'] ?? '')
    .split(';')
    .map((part) => part.trim());
  const read = READERS.get(type.toLowerCase());
  if (!read) {
    throw new InvalidRequestError(
      `${type === '' ? 'A body without a Content-Type' : `The Content-Type ${excerpt(type)}`} cannot ` +
        'be read. Send application/x-www-form-urlencoded or application/json.',
      {},
      415,
    );
  }
  for (const attribute of attributes) requireUtf8(attribute);
  const parameters = read(utf8TextOf(body), body);
  requireHarmless(parameters);
  return parameters;
}

/**
 * The parameters in a URL's query.
 *
 * @param query the text after the question mark
 * @throws InvalidRequestError (400)
 */
export function readQuery(query: string): Record<string, unknown> {
  const parameters = parseForm(query);
  requireHarmless(parameters);
  return parameters;
}

type BodyReader = (text: string, bytes: Buffer) => Record<string, unknown>;

const READERS: ReadonlyMap<string, BodyReader> = new Map<string, BodyReader>([
  ['application/x-www-form-urlencoded', (text) => parseForm(text)],
  ['application/json', (text, bytes) => parseJson(text, bytes)],
]);

function requireNoEncoding(encoding: string | undefined): void {
  if (encoding === undefined || /^(identity)?$/i.test(encoding.trim())) return;
  throw new InvalidRequestError(
    `A body with Content-Encoding: ${excerpt(encoding)} cannot be read. Send it uncompressed, without ` +
      'that header.',
    {},
    415,
  );
}

function requireUtf8(attribute: string): void {
  const [name, value = ''] = attribute.split('=').map((part) => part.trim().toLowerCase());
  if (name !== 'charset' || /^"?(utf-?8|us-ascii)"?$/.test(value)) return;
  throw new InvalidRequestError(
    `The charset ${excerpt(value)} cannot be read. Send the body as UTF-8.`,
    {},
    415,
  );
}

function utf8TextOf(body: Buffer): string {
  try {
    // This also drops a byte order mark.
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new InvalidRequestError('The request body is not valid UTF-8.');
  }
}
